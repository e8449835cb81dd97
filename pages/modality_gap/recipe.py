"""The modality gap and its alignments. Run it in Vitrine's folder: python modality_gap.py"""

import numpy as np

from core.data.prompts import STRATEGIES
from core.methods.embeddings.embedding import Method
from core.methods.modality_gap.alignment import VARIANTS
from core.methods.modality_gap.modality_gap import compare_variants, finding
from core.methods.modality_gap.modality_gap_pairs import By, embed_halves
from core.methods.modality_gap.side_planes import planes_beside, side_arrays
from core.models.weights import load
from core.reports import finish

# --- Settings ---
MODEL = "clip_small"
SOURCE = "examples"  # or DATASET/SPLIT
STRATEGY = "photo"
PAIRS = 100
BY: By = "images"
VARIANT = "centred"
METHOD: Method = "pca"  # or tsne, umap: of the planes side by side
# --- End of settings ---

halves = finish(embed_halves(load(MODEL), SOURCE, STRATEGIES[STRATEGY].templates, pairs=PAIRS, by=BY))
print(halves.said)
outcomes = compare_variants(halves.fitted, halves.held_out)
for variant, outcome in outcomes.items():
    low, high = outcome.interval
    print(
        f"{VARIANTS[variant].title:40} gap {outcome.held_out.distance:.3f}  "
        f"cosine {outcome.held_out.paired_cosine:.3f}  accuracy {outcome.accuracy:.1%} ({low:.1%}–{high:.1%})"
    )
print(finding(outcomes["before"], outcomes[VARIANT], seen_classes=halves.seen_classes))
sides = planes_beside(halves.fitted, halves.held_out, VARIANTS[VARIANT], method=METHOD)
for title, side in zip(("before", "after"), sides, strict=True):
    print(f"{title}: {side.neighbours_across:.0%} of the images have a caption as their nearest point")
np.savez_compressed("modality_gap.npz", allow_pickle=False, **side_arrays(sides))
