"""Scripts that make the views of Attention and Masking again; the tests compare what they write with the pages."""

from __future__ import annotations

from pages.shared.recipes import _head, _image_code, _image_imports
from pages.shared.views import AttentionView, MaskingView

_SAVE = """
for name, pixels in pictures.items():
    Path(f"{{name}}.png").write_bytes(to_png(pixels))
np.savez_compressed("{stem}.npz", **arrays)
for name, values in arrays.items():
    print(name, values.shape)
"""


def attention_recipe(view: AttentionView) -> str:
    """What the Attention page shows: the map on the photo, the mosaic, and the open tab."""
    imports: tuple[str, ...]
    if view.tab is None:
        imports, body = _GRADCAM_IMPORTS, _gradcam(view)
    else:
        imports, parts = _TABS[view.tab]
        imports, body = (*_LOOK_IMPORTS, *imports), _look(view) + parts(view)
    if view.tab == "Compare" and view.other and view.beside == "Another image":
        imports = (*imports, *_image_imports(view.other))
    lines = tuple(dict.fromkeys(("from core.data.transforms import display_preprocessing", *imports)))
    head = _head("What a model attends to in one photo", "attention.py", view.model, view.image, *lines)
    return head + _PHOTO + body + _SAVE.format(stem="attention")


_PHOTO = """
photo = np.asarray(crop_to_square(image, display_preprocessing(model.network.preprocessing, image)))
arrays, pictures = {}, {}
"""
_LOOK_IMPORTS = (
    "from core.figures.overlay import mosaic, overlay, to_png",
    "from core.methods.attention.attention import attention_maps, readout_maps, shown_map",
    "from core.methods.attention.rollout import rollout_maps",
)
_GRADCAM_IMPORTS = (
    "from core.figures.overlay import overlay, to_png",
    "from core.methods.attention.gradcam import grad_cam",
    "from core.methods.accuracy.targets import Target",
    "from core.methods.accuracy.predictions import predict_logits",
)


def _look(view: AttentionView) -> str:
    seen = ""
    if view.as_seen:
        seen = "seen = np.asarray(crop_to_square(image, model.network.preprocessing))\n"
    return f"""maps = attention_maps(model.module, batch)
values = shown_map(maps, layer={view.layer}, head={view.head!r}, patch={view.patch}, direction={view.direction!r})
{seen}pictures["map"] = overlay({"seen" if seen else "photo"}, values, signed=maps.signed, smooth={not view.as_seen})
pictures["mosaic"] = mosaic(photo, readout_maps(maps), signed=maps.signed)
arrays |= {{"map": values, "readout": readout_maps(maps), "rollout": rollout_maps(maps)}}
"""


def _explanations(view: AttentionView) -> str:
    return f"""
target = pick_target(model.module, batch, {view.class_index}, classifier=not model.spec.lacks("classifier"))
for method in explanations_for(model.spec):
    if method.name == "rollout":
        values = rollout_maps(maps, fusion={view.fusion!r}, discard_ratio={view.discard}, residual={view.residual})[-1]
    else:
        values = method.explain(model.module, batch, target)
    arrays[f"explanation_{{method.name}}"], pictures[method.name] = values, overlay(photo, values)
"""


def _mass(view: AttentionView) -> str:
    return f"""
last = np.abs(readout_maps(maps)[-1])
cells = {{"all_heads": last.mean(axis=0)}} | {{f"head_{{head + 1}}": last[head] for head in range(maps.heads)}}
for name, values in cells.items():
    mask = attention_mass(values, {view.mass})
    arrays[f"mass_{{name}}"], pictures[f"mass_{{name}}"] = mask, dim_outside(photo, mask)
"""


def _distance(view: AttentionView) -> str:
    return """
arrays["distance_px"] = attention_distance(maps, model.network.preprocessing.size / maps.grid[0])
arrays["entropy_bits"] = attention_entropy(maps)
"""


def _predictions(view: AttentionView) -> str:
    return """
if not model.spec.lacks("classifier"):
    arrays["logits"] = predict_logits(model.module, batch)[0]
    for each in top_predictions(arrays["logits"], model.classes):
        print(f"{each.label:30} {each.probability:6.1%}")
"""


def _gradcam(view: AttentionView) -> str:
    return f"""arrays["explanation_gradcam"] = grad_cam(model.module, batch, Target({view.class_index}))
pictures["gradcam"] = overlay(photo, arrays["explanation_gradcam"])
arrays["logits"] = predict_logits(model.module, batch)[0]
"""


def _compare(view: AttentionView) -> str:
    if not view.other:
        return ""
    two_models = view.beside == "Another model"
    second = f"load({view.other!r})" if two_models else "model"
    other = "image" if two_models else _image_code(view.other)
    values = "rollout_maps(its)[-1]"
    if view.compared != "Rollout":
        values = "np.abs(readout_maps(its)[-1]).mean(axis=0)"
    code = f"""
second, other = {second}, {other}
densities, photos, distances = [], [], []
for each, picture in ((model, image), (second, other)):
    preprocessing = each.network.preprocessing
    its = attention_maps(each.module, to_batch([picture], preprocessing))
    values = {values}
    densities.append(values / values.sum() * values.size)
    photos.append(np.asarray(crop_to_square(picture, display_preprocessing(preprocessing, picture))))
    distances.append(attention_distance(its, 100 / its.grid[0]))
scale = (0.0, max(scale_of(density)[1] for density in densities))
for place, density, shown in zip(("first", "second"), densities, photos):
    arrays[f"density_{{place}}"], pictures[place] = density, overlay(shown, density, scale=scale)
"""
    if not two_models:
        return code
    return (
        code
        + """crops = [each.network.preprocessing.crop_share for each in (model, second)]
common = [centre(density, min(crops) / crop) for density, crop in zip(densities, crops)]
pictures["difference"] = difference(photos[int(np.argmin(crops))], *common)
arrays |= {"distance_first": distances[0], "distance_second": distances[1]}
"""
    )


_TABS = {
    "Explanations": (
        (
            "from core.methods.attention.explanations import explanations_for",
            "from core.methods.accuracy.targets import pick_target",
        ),
        _explanations,
    ),
    "Attention mass": (
        (
            "from core.figures.overlay import dim_outside",
            "from core.methods.attention.attention import attention_mass",
        ),
        _mass,
    ),
    "Attention distance": (
        ("from core.methods.attention.attention import attention_distance, attention_entropy",),
        _distance,
    ),
    "Predictions": (("from core.methods.accuracy.predictions import predict_logits, top_predictions",), _predictions),
    "Compare": (
        (
            "from core.figures.overlay import centre, difference, scale_of",
            "from core.methods.attention.attention import attention_distance",
        ),
        _compare,
    ),
}


def masking_recipe(view: MaskingView, *, grid: tuple[int, int], methods: tuple[str, ...]) -> str:
    """What the Masking page shows: the masked photo, the curves beside random orders, and every map put to the test.

    Args:
        methods: the explanations that are put to the test.
    """
    head = _head(
        "How a prediction changes as patches are removed",
        "masking.py",
        view.model,
        view.image,
        "from core.figures.overlay import to_png",
        "from core.figures.patches import sharp",
        "from core.methods.attention.explanations import find_explanation",
        "from core.methods.masking.faithfulness import compare_with_band, faithfulness",
        "from core.methods.masking.masking import (\n    PUBLISHED,\n    keep_for_setting,\n    keep_from_patches,\n"
        "    masked_pixels,\n    masked_responses,\n    masking_curve,\n    masking_order,\n    random_band,\n"
        "    scores_on_grid,\n)",
        "from core.methods.accuracy.targets import pick_target",
    )
    body = _by_hand(view) if view.strategy == "hand" else _removed(view)
    return head + _masking_start(view, grid, methods) + body + _put_to_the_test(view) + _SAVE.format(stem="masking")


def _masking_start(view: MaskingView, grid: tuple[int, int], methods: tuple[str, ...]) -> str:
    return f"""
target = pick_target(model.module, batch, classifier=not model.spec.lacks("classifier"))
grid = {grid!r}
scores = {{name: find_explanation(name).explain(model.module, batch, target) for name in {methods!r}}}
filling = {{"fill": {view.fill!r}, "normalisation": model.network.preprocessing.normalisation}}
arrays, pictures = {{}}, {{}}
"""


def _removed(view: MaskingView) -> str:
    beside = ["least_attended"] if view.strategy == "most_attended" else []
    return f"""
ranked = scores_on_grid(scores[{view.method!r}], grid)
curves = {{}}
for strategy in {[view.strategy, *beside]!r}:
    order = masking_order(strategy, grid, scores=ranked, seed=0)
    curves[strategy] = masking_curve(model.module, batch, target, order, grid=grid, steps={view.steps}, **filling)
    arrays |= {{f"order_{{strategy}}": order, f"curve_{{strategy}}": curves[strategy].confidence}}
curve = curves[{view.strategy!r}]
arrays["shares"] = curve.shares
removed = arrays["order_{view.strategy}"][: round(float(curve.shares[{view.step}]) * grid[0] * grid[1])]
pictures["masked"] = sharp(masked_pixels(batch, keep_from_patches(removed, grid), **filling))
band = random_band(model.module, batch, target, grid=grid, steps={view.steps}, orders={view.orders}, **filling)
arrays["random_curves"] = band.curves
print(compare_with_band(curve, band))
"""


def _by_hand(view: MaskingView) -> str:
    return f"""
keeps = [keep_from_patches({list(view.removed)!r}, grid), keep_from_patches([], grid)]
keeps += [keep_for_setting(setting, grid) for setting in PUBLISHED.values()]
responses = masked_responses(model.module, batch, target, np.stack(keeps), **filling)
arrays |= {{"masks": np.stack(keeps), "responses": responses.confidence}}
pictures["masked"] = sharp(masked_pixels(batch, keeps[0], **filling))
"""


def _put_to_the_test(view: MaskingView) -> str:
    return f"""
result = faithfulness(
    model.module, batch, target, scores, grid=grid, steps={view.steps}, random_orders={view.orders}, **filling
)
for name, tested in result.methods.items():
    arrays |= {{f"deletion_{{name}}": tested.deletion, f"insertion_{{name}}": tested.insertion}}
arrays |= {{"deletion_random": result.random.deletion, "insertion_random": result.random.insertion}}
"""
