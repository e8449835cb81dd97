"""Two models side by side. Run it in Vitrine's folder: python comparison.py"""

from core.methods.anatomy.anatomy import anatomy
from core.methods.anatomy.parts import compare_anatomy
from core.models.weights import load

# --- Settings ---
FIRST = "vit_p4"
SECOND = "cnn_small"
# --- End of settings ---

comparison = compare_anatomy(anatomy(load(FIRST).module), anatomy(load(SECOND).module))
for difference in comparison.differences:
    print(difference.sentence)
for row in comparison.rows:
    block = "–" if row.layer is None else row.layer + 1
    print(f"block {block}  {row.role:24} {row.first:12,} {row.second:12,}")
