"""Scripts that make a view again without the app; the tests run them."""

from __future__ import annotations

_LOAD = '''"""{title}. Run it in Vitrine's folder: python {file}"""

from pathlib import Path

import numpy as np
from PIL import Image

{imports}

model = load({name!r})
image = {image}
batch = to_batch([image], model.network.preprocessing)
'''
_IMPORTS = (
    "from core.data.examples import load_example",
    "from core.data.images import decode_image",
    "from core.data.transforms import crop_to_square, to_batch",
    "from core.models.weights import load",
)


def attention_recipe(name: str, image_key: str) -> str:
    """Attention maps, rollout and the overlay of one photo."""
    head = _head(
        "Attention of one photo",
        "attention.py",
        name,
        image_key,
        "from core.figures.overlay import overlay, to_png",
        "from core.methods.explanations import explanations_for",
        "from core.methods.targets import pick_target",
    )
    return (
        head
        + """
target = pick_target(model.module, batch, classifier=not model.spec.lacks("classifier"))
photo = np.asarray(crop_to_square(image, model.network.preprocessing).resize((560, 560)))
for method in explanations_for(model.spec):
    values = method.explain(model.module, batch, target)
    Path(f"{method.name}.png").write_bytes(to_png(overlay(photo, values)))
    print(method.title, values.shape, "saved as", f"{method.name}.png")
"""
    )


def masking_recipe(
    name: str,
    image_key: str,
    *,
    grid: tuple[int, int],
    strategy: str,
    method: str,
    fill: str,
    steps: int,
    seed: int,
) -> str:
    """The masking curve of one photo."""
    head = _head(
        "How a prediction changes as patches are removed",
        "masking.py",
        name,
        image_key,
        "from core.methods.explanations import find_explanation",
        "from core.methods.masking import masking_curve, masking_order, scores_on_grid",
        "from core.methods.targets import pick_target",
    )
    return (
        head
        + f"""
target = pick_target(model.module, batch, classifier=not model.spec.lacks("classifier"))
grid = {grid!r}
scores = scores_on_grid(find_explanation({method!r}).explain(model.module, batch, target), grid)
order = masking_order({strategy!r}, grid, scores=scores, seed={seed})
curve = masking_curve(
    model.module,
    batch,
    target,
    order,
    grid=grid,
    fill={fill!r},
    steps={steps},
    normalisation=model.network.preprocessing.normalisation,
)
for removed, confidence in zip(curve.shares, curve.confidence):
    print(f"{{removed:4.0%}} removed: confidence {{confidence:.3f}}")
"""
    )


def anatomy_recipe(name: str) -> str:
    """The parameters of one model by role."""
    return f'''"""Parameters of a model by role. Run it in Vitrine's folder: python anatomy.py"""

from collections import Counter

from core.methods.anatomy import anatomy
from core.models.weights import load

parts = anatomy(load({name!r}).module)
roles = Counter()
for row in parts.rows:
    roles[row.role] += row.parameters
for role, parameters in roles.most_common():
    print(f"{{role:24}} {{parameters:12,}}")
'''


def train_recipe(recipe: str, overrides: list[str], name: str) -> str:
    """A training in the foreground, epoch by epoch."""
    return f'''"""Train {recipe}. Run it in Vitrine's folder: python train.py"""

from core.configs import parse_overrides
from core.experiments.catalogue import find_recipe
from core.experiments.execute import execute
from core.reports import Progress, as_line
from core.runs.store import RunSpec, create_run

recipe = find_recipe({recipe!r})
config = parse_overrides(recipe.config, {overrides!r})
folder = create_run({name!r}, RunSpec.of(recipe.name, config))
for report in execute(folder):
    if not isinstance(report, Progress):
        print(as_line(report), flush=True)
print("The model is in", folder.model)
'''


def runs_recipe(runs: list[tuple[str, str]]) -> str:
    """The learning curves of runs and of bundled models; `runs`: (key, command that trains it again) each."""
    commands = "\n".join(f"# {command}" for _, command in runs)
    return f'''"""Learning curves. Run it in Vitrine's folder: python runs.py"""

from core.figures.curves import Curve, plot_learning_curves
from core.models.checkpoint import read_card
from core.paths import BUNDLED
from core.runs.store import find_run

# What trains them again:
{commands}
curves = []
for key in {[key for key, _ in runs]!r}:
    if key.startswith("bundled:"):
        history = read_card(BUNDLED / key.removeprefix("bundled:")).history
    else:
        history = find_run(key).history()
    curves.append(Curve(title=key, history=history))
    print(key, len(history), "reports, the last:", history[-1] if history else "none")
plot_learning_curves(curves, "accuracy").write_html("accuracy.html")
plot_learning_curves(curves, "loss").write_html("loss.html")
'''


def _head(title: str, file: str, name: str, image_key: str, *imports: str) -> str:
    kind, _, rest = image_key.partition(":")
    if kind == "example":
        image = f"load_example({rest!r})"
    elif kind == "data":
        data, split, seed, position = rest.split("/")
        image = f"sample_images({data!r}, {split!r}, 12, {seed})[{position}][0]"
        imports = (*imports, "from core.data.catalogue import sample_images")
    else:
        image = 'decode_image(Path("photo.jpg").read_bytes())  # your upload, saved beside this script'
    return _LOAD.format(
        title=title, file=file, name=name, image=image, imports="\n".join(sorted((*_IMPORTS, *imports)))
    )
