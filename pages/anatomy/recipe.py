"""Parameters of a model by role. Run it in Vitrine's folder: python anatomy.py"""

from collections import Counter

from core.methods.anatomy.anatomy import anatomy
from core.models.weights import load

# --- Settings ---
MODEL = "vit_p4"
# --- End of settings ---

parts = anatomy(load(MODEL).module)
roles: Counter[str] = Counter()
for row in parts.rows:
    roles[row.role] += row.parameters
for role, parameters in roles.most_common():
    print(f"{role:24} {parameters:12,}")
