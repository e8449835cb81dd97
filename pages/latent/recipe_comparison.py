"""Two trained VAEs side by side. Run it in Vitrine's folder: python latent_runs.py"""

from pathlib import Path

from core.figures.curves import Curve, plot_metric
from core.figures.latent import plot_units
from core.methods.latent.collapse import contest_finding, units_finding, units_of
from core.models.catalogue import find_model
from core.models.checkpoint import read_card
from core.models.weights import resolve

# --- Settings ---
FIRST = "vae_collapsed"
SECOND = "vae_warmup"
DELTA = 0.01
# --- End of settings ---

cards = {name: read_card(Path(resolve(find_model(name)))) for name in dict.fromkeys((FIRST, SECOND))}
print(contest_finding(cards[FIRST], cards[SECOND], DELTA))
for name, card in cards.items():
    print(f"{find_model(name).title}: {units_finding(units_of(card, DELTA))}")
    print(f"  {card.command}")
for number, card in enumerate(cards.values(), 1):
    plot_units(units_of(card, DELTA)).write_html(f"units_{number}.html")
curves = [Curve(title=find_model(name).title, history=card.history) for name, card in cards.items()]
plot_metric(curves, "val_elbo").write_html("val_elbo.html")
