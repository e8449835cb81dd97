"""The modality gap and its alignments. Run it in Vitrine's folder: python modality_gap.py"""

from core.data.prompts import STRATEGIES
from core.methods.modality_gap.alignment import VARIANTS
from core.methods.modality_gap.modality_gap import compare_variants, finding
from core.methods.modality_gap.modality_gap_pairs import By, embed_halves
from core.models.weights import load
from core.reports import finish

# --- Settings ---
MODEL = "clip_small"
SOURCE = "examples"  # or DATASET/SPLIT
STRATEGY = "photo"
PAIRS = 100
BY: By = "images"
VARIANT = "centred"
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
