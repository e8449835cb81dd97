"""A photo in the style of another picture. Run it in Vitrine's folder: python style.py"""

from pathlib import Path
from typing import Any

from core.data.pictures import open_picture
from core.figures.overlay import to_png
from core.figures.style_transfer import plot_style_losses
from core.methods.style_transfer.networks import feature_network
from core.methods.style_transfer.pictures import fit_pictures
from core.methods.style_transfer.transfer import StyleSettings, settled, transfer_style
from core.models.weights import load

# --- Settings ---
NETWORK = "cnn_small"  # or vgg19, efficientnet_lite0
CONTENT = "example:cat"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
STYLE = "painted:swirl"
SIDE = 48  # pixels of the longer side
SETTINGS: dict[str, Any] = {"steps": 10}  # what is not usual about them
STAGES = [0, 10]  # steps of which the picture is written
# --- End of settings ---

settings = StyleSettings(**SETTINGS)
network = feature_network(load(NETWORK), settings.pooling)
content, style = fit_pictures(open_picture(CONTENT), open_picture(STYLE), SIDE)
for now in transfer_style(network, content[None], style, settings):
    if now.step in STAGES or now.finished:
        Path(f"style_step_{now.step}.png").write_bytes(to_png(now.pictures[0]))
said = settled(network, settings)
left, gone = now.style_share(said.layer_weights or ())[:, 0], now.content_share[:, 0]
for step in range(0, len(left), max(1, len(left) // 10)):
    print(f"step {step:4}: style {left[step]:.2%} left, content {gone[step]:.2%} away")
print(f"step {now.step:4}: style {left[-1]:.2%} left, content {gone[-1]:.2%} away; {now.seconds:.1f} s")
plot_style_losses(gone, left, steps=now.steps).write_html("style_losses.html")
