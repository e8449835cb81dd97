"""A training or an evaluation in the foreground. Run it in Vitrine's folder: python run.py"""

import json
from typing import Any

from core.configs import parse_overrides
from core.launch.execute import execute
from core.launch.recipes import find_recipe
from core.reports import Progress, as_line
from core.runs.store import RunSpec, create_run

# --- Settings ---
RECIPE = "vit_scratch"
NAME = "by-hand"
OVERRIDES = ["dataset=cifar10", "training.epochs=1"]
# --- End of settings ---

recipe = find_recipe(RECIPE)
config: Any = parse_overrides(recipe.config, OVERRIDES)
folder = create_run(NAME, RunSpec.of(recipe.name, config))
for report in execute(folder):
    if not isinstance(report, Progress):
        print(as_line(report), flush=True)
result = folder.path / "result.json"
if result.is_file():  # of an evaluation
    print(json.loads(result.read_text(encoding="utf-8"))["test"])
print("All of it is in", folder.path)
