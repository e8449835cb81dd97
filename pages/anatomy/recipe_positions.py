"""Positional similarity. Run it in Vitrine's folder: python positions.py"""

from pathlib import Path
from typing import Any

from core.figures.overlay import to_png
from core.figures.positional import plot_distance_profile, positional_tile, positional_tiles
from core.methods.anatomy.positional import Measure, distance_profile, positional_similarity
from core.models.weights import load

# --- Settings ---
MODEL = "vit_p4"
MEASURE: Measure = "cosine"
ROW = 4  # of the enlarged tile, from 0
COLUMN = 4
# --- End of settings ---

module: Any = load(MODEL).module
table, grid, prefix_tokens = module.positions()
similarity = positional_similarity(table.detach().float().cpu().numpy(), grid, prefix_tokens, MEASURE)
Path("positions.png").write_bytes(to_png(positional_tiles(similarity, scale=6)))
positional_tile(similarity, ROW, COLUMN).write_html("tile.html")
profile = distance_profile(similarity)
plot_distance_profile(profile, MEASURE).write_html("profile.html")
for distance, alike in zip(profile.distances, profile.similarity, strict=True):
    print(f"{distance:6.2f} patches apart: {alike:.4f}")
