"""Rate and distortion of trained VAEs. Run it in Vitrine's folder: python latent_rates.py"""

from pathlib import Path

from core.figures.latent import plot_rate_distortion
from core.methods.latent.rate_distortion import rate_distortion
from core.models.catalogue import find_model
from core.models.checkpoint import read_card
from core.models.weights import resolve

# --- Settings ---
MODELS = ["vae_collapsed", "vae_warmup"]
# --- End of settings ---

found = rate_distortion({name: read_card(Path(resolve(find_model(name)))) for name in MODELS})
for point in found.points:
    print(
        f"{point.title}: β {point.beta:g}, rate {point.rate:.2f}, distortion {point.distortion:.2f}, "
        f"squared error {point.squared_error:.2f}, {point.active} of {point.latents} latents active"
    )
print("nats compare" if found.comparable else "decoders or splits differ: compare squared errors")
plot_rate_distortion(found).write_html("rates.html")
