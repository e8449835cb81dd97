"""Whose decisions go by shape and whose by texture, on images of the shape of one thing and the texture of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import streamlit as st

from core.data.catalogue import installed_datasets
from core.errors import CoreError
from core.experiments.cue_conflict import check_cues, has_cues, shape_biases
from core.experiments.evaluation import Evaluation
from core.experiments.stress import Config
from core.figures.disputes import Answered, answers_sheet
from core.figures.shape_bias import plot_shape_bias
from core.methods.biases.shape_bias import ShapeBias
from core.runs.store import RunFolder
from core.shares import counted
from pages.biases.accuracy_panel import RUNS
from pages.biases.frame import chosen_result, result_and_form
from pages.biases.measured import bundled_note, measured_table, overrides_of, title_of
from pages.shared.charts import show_chart
from pages.shared.dataset_import import arrived, dataset_import
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.model_set import models_picker
from pages.shared.pickers import own_model_form
from pages.shared.recipes import filled_recipe

PREFERRED = ("efficientnet_lite0", "clip_small")
USUAL = "cue_conflict"
MOST = 12


def cues_panel() -> Callable[[], Export] | None:
    """The view; returns what makes its export."""
    return result_and_form(RUNS, _form, _result)


def _result() -> Callable[[], Export] | None:
    finished = [run for run in RUNS.finished() if _is_of_cues(run)]
    chosen = chosen_result(RUNS, finished, measured_table("cues"))
    if chosen is None:
        return None
    if isinstance(chosen, RunFolder):
        found = RUNS.read(chosen)
        titles = [str(model["title"]) for model in found.summary["models"]]
        biases = dict(zip(titles, shape_biases(found), strict=True))
        _show(biases)
        _gallery(found, titles)
        return lambda: _export(biases, f"{chosen.name}-again"[:80], list(chosen.read_spec().overrides))
    biases = {title_of(each["model"]): ShapeBias.read(each) for each in chosen["models"]}
    _show(biases)
    for dataset in chosen["cannot"].values():
        names = ", ".join(title_of(name) for name in dataset)
        st.caption(f"Left out, because they do not know the sixteen categories: {plain(names)}.")
    bundled_note(chosen, "cues")
    return lambda: _export(biases, "cue-conflict", overrides_of(str(chosen["commands"][0])))


def _is_of_cues(run: RunFolder) -> bool:
    """Whether a run is of images with two cues; damaged ones are listed by the view of accuracies."""
    try:
        return has_cues(RUNS.read(run))
    except CoreError:
        return False


def _show(biases: Mapping[str, ShapeBias]) -> None:
    """The biases in words, the figure, the counts."""
    st.markdown(f"#### {plain(headline(biases))}")
    show_chart(
        plot_shape_bias(biases), key="cues_figure",
        alt="For every category the share of decisions by shape, and how often one was made, of every model.",
    )  # fmt: skip
    for title, found in biases.items():
        st.markdown(f"- **{plain(title)}** {plain(found.sentence())}")
    found = next(iter(biases.values()))
    left_out = f"{counted(found.congruent, 'image')} of one thing's shape and texture left out."
    st.caption(f"Lines: over all images. Dotted: guessing. {left_out}")
    with st.expander("Counts", icon=":material/table:"):
        st.dataframe(_table(biases), hide_index=True, width="stretch")


def headline(biases: Mapping[str, ShapeBias]) -> str:
    """Who goes most by shape, and how often anybody decided."""
    decided = {title: found for title, found in biases.items() if found.overall.decided}
    if not decided:
        return "No model named a shape or a texture of any image."
    title, found = max(decided.items(), key=lambda each: each[1].overall.bias.value or 0)
    count = counted(found.overall.decided, "decision")
    most = " most" * (len(decided) > 1)
    return f"{title} goes{most} by shape: {found.overall.bias.value:.0%} of {count} between shape and texture."


def _table(biases: Mapping[str, ShapeBias]) -> pd.DataFrame:
    """A row for each model and category."""
    return pd.DataFrame(
        [
            {
                "model": title,
                "shape shown": row.name,
                "by shape": row.shape,
                "by texture": row.texture,
                "by neither": row.neither,
                "decided": row.decided_share,
                "shape bias": row.bias.value,
                "from": row.bias.low,
                "to": row.bias.high,
                "shape accuracy": row.shape_accuracy,
            }
            for title, found in biases.items()
            for row in (found.overall, *found.categories)
        ]
    )


def _gallery(found: Evaluation, titles: list[str]) -> None:
    """Some images, and what each model went by."""
    textures, names = found.columns["texture"], found.classes
    places = [place for place in range(len(found.labels)) if found.labels[place] != textures[place]][:MOST]
    pictures = []
    for place in places:
        shape, texture = int(found.labels[place]), int(textures[place])
        said: list[tuple[str, str] | None] = []
        for answer in found.answers[place, :, 0].tolist():
            cue = "shape:" if answer == shape else "texture:" if answer == texture else "neither:"
            said.append((names[answer], cue) if answer >= 0 else None)
        title = f"{names[shape]} of {names[texture]}"
        pictures.append(Answered(pixels=found.image(place), shows=title, said=tuple(said)))
    st.html(answers_sheet(pictures, titles))


def _export(biases: Mapping[str, ShapeBias], name: str, overrides: list[str]) -> Export:
    return Export(
        stem="biases_cues",
        recipe=filled_recipe("shared", "run", recipe="stress", name=name, overrides=overrides),
        figures={"shape_bias": plot_shape_bias(biases)},
        table=_table(biases),
        facts={"headline": headline(biases), **{title: found.sentence() for title, found in biases.items()}},
    )


def _form() -> None:
    """Which models, which images."""
    st.markdown("**Evaluate yourself**")
    brought = arrived("cues-import")
    installed = {name: info for name, info in installed_datasets().items() if info["storage"] == "folder"}
    if not installed:
        st.info("No data set of image files is on this machine yet.", icon=":material/database_off:")
    else:
        names = models_picker(("classifier", "image_text"), name="cue_models", preferred=PREFERRED)
        own_model_form(name="cue_models_added")
        listed = list(installed)
        if brought in listed:
            st.session_state["cues_data"] = brought
        dataset = st.selectbox(
            "Images", listed, index=listed.index(USUAL) if USUAL in listed else 0,
            format_func=lambda each: installed[each]["title"], key="cues_data", bind="query-params",
            help="Files named shapeN-textureM, such as bear1-clock2.png, with both among the classes.",
        )  # fmt: skip
        config = None
        with guard():
            check_cues(dataset)
            config = Config(models=tuple(names), dataset=dataset, conditions=(), max_images=0)
        RUNS.launch(config, f"{len(names)}-models", dataset)
    with st.popover("Import images", icon=":material/upload:", type="tertiary"):
        st.caption("A folder or archive of files named shapeN-textureM, such as bear1-clock2.png.")
        dataset_import("my_cues", "cues-import")
