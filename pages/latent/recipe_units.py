"""What every latent of a VAE carries. Run it in Vitrine's folder: python latent_units.py"""

from typing import Any

from core.figures.latent import plot_moments, plot_spread, plot_units
from core.methods.latent.collapse import Units, units_finding
from core.methods.latent.pictures import open_pictures
from core.methods.latent.statistics import latent_statistics
from core.models.weights import load

# --- Settings ---
MODEL = "vae_bernoulli"
PICTURES = "own:500/0"  # or data:DATASET/SPLIT/COUNT/SEED
DELTA = 0.01
# --- End of settings ---

model: Any = load(MODEL).module
pictures = open_pictures(model, PICTURES)
statistics = latent_statistics(model, pictures.images)
units = Units(kl=statistics.kl, spread=statistics.spread, delta=DELTA)
print(f"{pictures.title}, {len(pictures.images)} pictures. {units_finding(units)}")
for latent in statistics.order():
    print(
        f"z{latent}: KL {units.kl[latent]:.4f}, mean {statistics.average_mean[latent]:+.3f}, "
        f"log-variance {statistics.average_log_variance[latent]:+.3f}, variance of means {units.spread[latent]:.4f}"
    )
plot_units(units).write_html("kl.html")
plot_moments(statistics, statistics.order()).write_html("moments.html")
plot_spread(units).write_html("spread.html")
