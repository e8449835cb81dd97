"""Learning curves. Run it in Vitrine's folder: python runs.py"""

from core.figures.curves import Curve, plot_learning_curves
from core.models.checkpoint import read_card
from core.paths import BUNDLED
from core.runs.store import find_run

# --- Settings ---
# Runs, or bundled models, and the command that trains each again.
COMMANDS = {"bundled:vit_p4": "python -m core train vit_scratch --name vit_p4"}
# --- End of settings ---

curves = []
for key, command in COMMANDS.items():
    if key.startswith("bundled:"):
        history = read_card(BUNDLED / key.removeprefix("bundled:")).history
    else:
        history = find_run(key).history()
    curves.append(Curve(title=key, history=history))
    print(key, len(history), "reports, the last:", history[-1] if history else "none")
    print("Trained by:", command)
plot_learning_curves(curves, "accuracy").write_html("accuracy.html")
plot_learning_curves(curves, "loss").write_html("loss.html")
