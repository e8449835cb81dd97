"""Scripts that make a view again without the app; the tests run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def zero_shot_recipe(name: str, image_key: str, labels: Sequence[str], templates: Sequence[str]) -> str:
    """One photo against labels."""
    head = _head(
        "One photo against labels",
        "zero_shot.py",
        name,
        image_key,
        "from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores",
    )
    return (
        head
        + f"""
labels = {list(labels)!r}
templates = {list(templates)!r}
weights = text_classifier(model.module, labels, templates)
scores = zero_shot_scores(embed_images(model.module, batch), weights, labels, Scale.of(model.module))
for index in scores.order():
    print(f"{{labels[index]:30}} {{scores.probabilities[0, index]:6.1%}}  cosine {{scores.cosines[0, index]:.4f}}")
"""
    )


def diffusion_recipe(
    name: str, image_key: str, labels: Sequence[str], template: str, settings: Mapping[str, object]
) -> str:
    """One photo classified by denoising; `settings` of the plan that are not the usual ones."""
    head = _head(
        "One photo classified by denoising",
        "diffusion.py",
        name,
        image_key,
        "import torch",
        "from core.data.prompts import prompts_for",
        "from core.methods.diffusion.diffusion_classifier import Plan, classify, excess_error",
    )
    return (
        head
        + f"""
labels = {list(labels)!r}
plan = Plan(**{dict(settings)!r})
pipeline = model.module
with torch.inference_mode():
    latent = pipeline.encode(batch)[0]
    prompts = pipeline.embed_prompts(prompts_for(labels, [{template!r}]))
for race in classify(pipeline.denoiser(prompts), latent, len(labels), pipeline.alphas_cumprod, plan):
    print(race.step, "draws,", len(race.alive), "left, first:", labels[race.winner])
(mean, half_width), draws = excess_error(race), race.draws
for index in race.order():
    last = draws[index] - 1
    behind, width = mean[last, index], half_width[last, index]
    print(f"{{labels[index]:30}} {{behind:+7.2%}} ± {{width:.2%}} after {{last + 1}} draws")
print(race.calls, "calls,", round(race.seconds, 1), "seconds")
"""
    )


def similarity_recipe(name: str, image_keys: Sequence[str], texts: Sequence[str], measure: str = "cosine") -> str:
    """Several photos against several texts: cosines, or in per cent which of the texts or of the images."""
    transposed = ".T" if measure == "images" else ""
    shares = f"""
scaling = Scale.of(model.module)
logits = scaling.scale * values + scaling.bias
values = 100 * probabilities(logits{transposed}, scaling.kind){transposed}"""
    kinds = "Scale, embed_images, embed_texts, probabilities, similarity_matrix"
    images = ",\n    ".join(_image_code(key) for key in image_keys)
    imports = {line for key in image_keys for line in _image_imports(key)}
    return f'''"""Photos against texts. Run it in Vitrine's folder: python similarity.py"""

from pathlib import Path

from core.data.examples import load_example
from core.data.images import decode_image
from core.data.transforms import to_batch
from core.methods.clip.zero_shot import {
        "embed_images, embed_texts, similarity_matrix" if measure == "cosine" else kinds
    }
from core.models.weights import load
{"".join(line + chr(10) for line in sorted(imports))}
model = load({name!r})
images = [
    {images},
]
texts = {list(texts)!r}
batch = to_batch(images, model.network.preprocessing)
values = similarity_matrix(embed_images(model.module, batch), embed_texts(model.module, texts)){
        shares if measure != "cosine" else ""
    }
for row in values:
    print("  ".join(f"{{value:6.3f}}" for value in row), " best:", texts[row.argmax()])
'''


def evaluation_recipe(overrides: list[str], name: str, *, recipe: str = "zero_shot") -> str:
    """An evaluation of a whole data set in the foreground: `zero_shot`, or `diffusion_zero_shot`."""
    return f'''"""Zero-shot on a whole data set. Run it in Vitrine's folder: python evaluation.py"""

import json

from core.configs import parse_overrides
from core.experiments import {recipe}
from core.launch.execute import execute
from core.runs.store import RunSpec, create_run

config = parse_overrides({recipe}.Config, {overrides!r})
folder = create_run({name!r}, RunSpec.of("{recipe}", config))
for report in execute(folder):
    print(report, flush=True)
print(json.loads((folder.path / {recipe}.RESULT).read_text())["test"])
'''


def positions_recipe(name: str, measure: str, row: int, column: int) -> str:
    """How alike the positional embeddings of one model are; `row`, `column`: of the enlarged tile, from 0."""
    return f'''"""Positional similarity. Run it in Vitrine's folder: python positions.py"""

from pathlib import Path

from core.figures.overlay import to_png
from core.figures.positional import plot_distance_profile, positional_tile, positional_tiles
from core.methods.anatomy.positional import distance_profile, positional_similarity
from core.models.weights import load

table, grid, prefix_tokens = load({name!r}).module.positions()
similarity = positional_similarity(table.detach().float().cpu().numpy(), grid, prefix_tokens, {measure!r})
Path("positions.png").write_bytes(to_png(positional_tiles(similarity)))
positional_tile(similarity, {row}, {column}).write_html("tile.html")
profile = distance_profile(similarity)
plot_distance_profile(profile, {measure!r}).write_html("profile.html")
for distance, alike in zip(profile.distances, profile.similarity):
    print(f"{{distance:6.2f}} patches apart: {{alike:.4f}}")
'''


def comparison_recipe(first: str, second: str) -> str:
    """Where two models differ."""
    return f'''"""Two models side by side. Run it in Vitrine's folder: python comparison.py"""

from core.methods.anatomy.anatomy import anatomy, compare_anatomy
from core.models.weights import load

comparison = compare_anatomy(anatomy(load({first!r}).module), anatomy(load({second!r}).module))
for difference in comparison.differences:
    print(difference.sentence)
for row in comparison.rows:
    block = "–" if row.layer is None else row.layer + 1
    print(f"block {{block}}  {{row.role:24}} {{row.first:12,}} {{row.second:12,}}")
'''


def anatomy_recipe(name: str) -> str:
    """The parameters of one model by role."""
    return f'''"""Parameters of a model by role. Run it in Vitrine's folder: python anatomy.py"""

from collections import Counter

from core.methods.anatomy.anatomy import anatomy
from core.models.weights import load

parts = anatomy(load({name!r}).module)
roles = Counter()
for row in parts.rows:
    roles[row.role] += row.parameters
for role, parameters in roles.most_common():
    print(f"{{role:24}} {{parameters:12,}}")
'''


def modality_gap_recipe(name: str, source: str, strategy: str, pairs: int, by: str, variant: str = "centred") -> str:
    """Every alignment of images and captions, fitted on some pairs and measured on others."""
    return f'''"""The modality gap and its alignments. Run it in Vitrine's folder: python modality_gap.py"""

from core.data.prompts import STRATEGIES
from core.methods.modality_gap.alignment import VARIANTS
from core.methods.modality_gap.modality_gap import compare_variants, finding
from core.methods.modality_gap.modality_gap_pairs import embed_halves
from core.reports import finish
from core.models.weights import load

halves = finish(embed_halves(load({name!r}), {source!r}, STRATEGIES[{strategy!r}].templates, pairs={pairs}, by={by!r}))
print(halves.said)
outcomes = compare_variants(halves.fitted, halves.held_out)
for variant, outcome in outcomes.items():
    low, high = outcome.interval
    print(
        f"{{VARIANTS[variant].title:40}} gap {{outcome.held_out.distance:.3f}}  "
        f"cosine {{outcome.held_out.paired_cosine:.3f}}  accuracy {{outcome.accuracy:.1%}} ({{low:.1%}}–{{high:.1%}})"
    )
print(finding(outcomes["before"], outcomes[{variant!r}], seen_classes=halves.seen_classes))
'''


def precision_recipe(
    name: str,
    image_key: str,
    formats: tuple[str, ...],
    batch_size: int,
    labels: tuple[str, ...],
    *,
    device: str = "auto",
    compared: str = "",
    count: int = 0,
) -> str:
    """Latency and memory of one photo in several number formats, and the answers to it and to the others compared.

    Args:
        compared: "examples", or data set and split as in "cifar10/test", of which `count` random images are taken.
    """
    imports = [
        "import torch",
        "from core.device import pick_device",
        "from core.methods.precision.agreement import agreement",
        "from core.reports import finish",
        "from core.methods.precision.memory_profile import memory_profile",
        "from core.methods.precision.precision import FORMATS, cast, forward, logits_in, measure_latencies",
    ]
    network = "network = model.module\n"
    if labels:
        imports += [
            "from core.methods.precision.precision import ZeroShotNetwork",
            "from core.methods.clip.zero_shot import text_classifier",
        ]
        network = (
            f"labels = {list(labels)!r}\n"
            'network = ZeroShotNetwork.of(model.module, text_classifier(model.module, labels, ("a photo of a {}.",)))\n'
        )
    if compared == "examples":
        imports.append("from core.data.examples import EXAMPLES")
    elif compared and not image_key.startswith("data:"):
        imports.append("from core.data.catalogue import sample_images")
    if compared:
        imports.append("from core.data.images import image_digest")
    head = _head("A network in shorter number formats", "precision.py", name, image_key, *imports)
    others = ""
    if compared == "examples":
        others = "others = [load_example(each) for each in EXAMPLES]\n"
    elif compared:
        data, _, split = compared.partition("/")
        others = f"others = [each for _, each in sample_images({data!r}, {split!r}, {count}, 0)]\n"
    if others:
        others += (
            "others = [each for each in others if image_digest(each) != image_digest(image)]\n"
            "compared = to_batch([image, *others], model.network.preprocessing)\n"
        )
    return (
        head
        + network
        + (others or "compared = batch\n")
        + f"""device = pick_device({device!r})
formats = [FORMATS[each] for each in {["fp32", *formats]!r}]
images = batch.repeat({batch_size}, 1, 1, 1)
timing = finish(measure_latencies(network, images, formats, device=device, runs=20))
print(timing.plan.conditions.sentence())
for each in timing.plan.left_out.values():
    print(each)
reference = logits_in(cast(network, formats[0], device), compared, formats[0])
for each in formats:
    if each.name not in timing.latencies:
        continue
    found = timing.latencies[each.name]
    copied = cast(network, each, device)
    memory = memory_profile(copied, forward(copied, images, each), device)
    same = agreement(reference, logits_in(copied, compared, each))
    print(
        f"{{each.title}}: median {{found.median:.2f}} ms, mean {{found.mean:.2f}} ± {{found.std:.2f}} ms, "
        f"{{memory.total_mib:.1f}} MiB, same answer on {{same.same_answer.sum()}} of {{len(same)}}, "
        f"largest |Δp| {{same.max_difference.max():.2g}}"
    )
"""
    )


def train_recipe(recipe: str, overrides: list[str], name: str) -> str:
    """A training in the foreground, epoch by epoch."""
    return f'''"""Train {recipe}. Run it in Vitrine's folder: python train.py"""

from core.configs import parse_overrides
from core.launch.recipes import find_recipe
from core.launch.execute import execute
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
    return _LOAD.format(
        title=title,
        file=file,
        name=name,
        image=_image_code(image_key),
        imports="\n".join(sorted((*_IMPORTS, *imports, *_image_imports(image_key)))),
    )


def _image_code(image_key: str) -> str:
    """The expression that is the image behind an address."""
    kind, _, rest = image_key.partition(":")
    if kind == "example":
        return f"load_example({rest!r})"
    if kind == "data":
        data, split, seed, position = rest.split("/")
        return f"sample_images({data!r}, {split!r}, 12, {seed})[{position}][0]"
    return 'decode_image(Path("photo.jpg").read_bytes())  # your upload, saved beside this script'


def _image_imports(image_key: str) -> tuple[str, ...]:
    return ("from core.data.catalogue import sample_images",) if image_key.startswith("data:") else ()
