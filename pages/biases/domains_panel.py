"""Linear probes on frozen networks, in a domain that they never saw and on classes of another kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from core.configs import from_dict
from core.data.catalogue import installed_datasets
from core.errors import CoreError
from core.experiments.domain_shift import Config
from core.experiments.evaluation import RESULT
from core.figures.domains import plot_domains, plot_other_classes
from core.figures.theme import Figure
from core.methods.biases.shifts import ShiftReport
from core.runs.store import RunFolder
from pages.biases.frame import chosen_result, result_and_form
from pages.biases.measured import bundled_note, measured_table, overrides_of
from pages.shared.amounts import amount_input
from pages.shared.charts import show_chart
from pages.shared.dataset_import import arrived, dataset_import
from pages.shared.errors import guard
from pages.shared.evaluation.runs import EvaluationRuns
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.model_set import models_picker
from pages.shared.pickers import own_model_form
from pages.shared.recipes import filled_recipe

PREFERRED = ("vit_p4", "differential_vit_p4", "cnn_small", "clip_small")
NO_DOMAINS, USUAL = "none", "pacs"


class ShiftRuns(EvaluationRuns):
    """Runs of the recipe, whose results have no row for each image."""

    def shifts(self, run: RunFolder) -> dict[str, Any]:
        """`result.json`.

        Raises:
            CoreError: there is none, or it is damaged.
        """
        try:
            found: dict[str, Any] = json.loads((run.path / RESULT).read_text(encoding="utf-8"))
            reports_of(found)
            return found
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CoreError(f"The result of {run.name!r} cannot be read ({error}).", "Evaluate again.") from error

    def _listed(self, run: RunFolder) -> str:
        try:
            found = self.shifts(run)
        except CoreError:
            return f"{run.name}: damaged"
        data = ", ".join([found["dataset_title"], *(each["title"] for each in found["semantic"])]).strip(", ")
        return f"{data} · {len(found['models'])} models · {run.name}"


RUNS = ShiftRuns(recipe="domain_shift", key="shift", headline=lambda found: "")


def reports_of(found: dict[str, Any]) -> list[ShiftReport]:
    """Every probe of a result."""
    return [from_dict(ShiftReport, values) for values in found["shifts"]]


def domains_panel() -> Callable[[], Export] | None:
    """The view; returns what makes its export."""
    return result_and_form(RUNS, _form, _result)


def _result() -> Callable[[], Export] | None:
    chosen = chosen_result(RUNS, RUNS.finished(), measured_table("domains"))
    if chosen is None:
        return None
    if isinstance(chosen, RunFolder):
        found = RUNS.shifts(chosen)
        _show(found)
        return lambda: _export(found, f"{chosen.name}-again"[:80], list(chosen.read_spec().overrides))
    _show(chosen)
    published = chosen["reports"]
    if published:
        words = "; ".join(
            f"{data}: " + ", ".join(f"{name} {value:.1%}" for name, value in models.items())
            for data, models in published.items()
        )
        st.caption(f"Published, with heads that learned from these data sets. {plain(words)}.")
    bundled_note(chosen, "domains")
    return lambda: _export(chosen, "domain-shift", overrides_of(str(chosen["commands"][0])))


def _show(found: dict[str, Any]) -> None:
    """The headline, both figures, the table."""
    reports, figures = reports_of(found), _figures(found)
    titles = {model["name"]: model["title"] for model in found["models"]}
    if sentence := headline(reports, titles):
        st.markdown(f"#### {plain(sentence)}")
    if "domains" in figures:
        show_chart(
            figures["domains"], key="shift_domains",
            alt="Accuracy at home and in each domain that was left out, of every model.",
        )  # fmt: skip
        st.caption("Hollow: images set aside of the domains that were learned from. Filled: the domain left out.")
    if "other_classes" in figures:
        st.markdown("**Classes of another kind**")
        show_chart(
            figures["other_classes"], key="shift_classes",
            alt="Accuracy of probes for the classes of other data sets, of every model.",
        )  # fmt: skip
    with st.expander("Every probe", icon=":material/table:"):
        st.dataframe(_table(found), hide_index=True, width="stretch")


def headline(reports: list[ShiftReport], titles: dict[str, str]) -> str:
    """Which domain costs which model most."""
    found = [each for each in reports if each.corrected is not None and each.home_accuracy is not None]
    if not found:
        return ""
    worst = min(found, key=lambda each: each.corrected or 0)
    title, place = titles.get(worst.model, worst.model), worst.place.replace("_", " ")
    return (
        f"{title} names {worst.home_accuracy:.0%} right in the domains that its probe learned from, and "
        f"{worst.test_accuracy:.0%} in {place}, which it never saw: the largest loss here."
    )


def _figures(found: dict[str, Any]) -> dict[str, Figure]:
    reports = reports_of(found)
    titles = {model["name"]: model["title"] for model in found["models"]}
    datasets = {each["name"]: each["title"] for each in found["semantic"]}
    figures = {}
    if any(each.shift == "covariate" for each in reports):
        figures["domains"] = plot_domains(reports, titles)
    if any(each.shift == "semantic" for each in reports):
        figures["other_classes"] = plot_other_classes(reports, titles, datasets)
    return figures


def _table(found: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([asdict(each) for each in reports_of(found)]).drop(columns=["step", "steps"])


def _export(found: dict[str, Any], name: str, overrides: list[str]) -> Export:
    titles = {model["name"]: model["title"] for model in found["models"]}
    return Export(
        stem="biases_domains",
        recipe=filled_recipe("shared", "run", recipe="domain_shift", name=name, overrides=overrides),
        figures=_figures(found),
        table=_table(found),
        facts={"headline": headline(reports_of(found), titles)},
    )


def _form() -> None:
    """Which networks, which domains, which other classes."""
    st.markdown("**Measure yourself**")
    brought = arrived("shift-import")
    installed = installed_datasets()
    if not installed:
        st.info("No data set is on this machine yet.", icon=":material/database_off:")
    else:
        names = models_picker(("classifier", "image_text"), name="shift_models", preferred=PREFERRED)
        own_model_form(name="shift_models_added")
        with_domains = [name for name, info in installed.items() if _has_domains(info)]
        if brought in with_domains:
            st.session_state["shift_data"] = brought
        domains = st.selectbox(
            "Domains", sorted([*with_domains, NO_DOMAINS], key=lambda each: each != USUAL), key="shift_data",
            bind="query-params",
            format_func=lambda each: "None" if each == NO_DOMAINS else installed[each]["title"],
            help="A data set whose splits are domains: DOMAIN/CLASS/*. Each is left out once.",
        )  # fmt: skip
        others = st.multiselect(
            "Other classes", [name for name in installed if name != domains], key="shift_semantic",
            format_func=lambda each: installed[each]["title"], bind="query-params",
            help="Data sets of other classes, learned by a probe of their own: CIFAR-100, for instance.",
        )  # fmt: skip
        most = amount_input(
            "Training images of each", 2000, "all images", key="shift_images", most=1_000_000, step=500,
            in_address=True, help="Of the data sets of other classes.",
        )  # fmt: skip
        config = None
        with guard():
            config = Config(
                models=tuple(names),
                dataset="" if domains == NO_DOMAINS else str(domains),
                semantic=tuple(others),
                max_images=most,
            )
        RUNS.launch(config, f"{len(names)}-models", domains if domains != NO_DOMAINS else "classes")
    with st.popover("Import a data set", icon=":material/upload:", type="tertiary"):
        st.caption("With domains: DOMAIN/CLASS/*.jpg.")
        dataset_import("my_domains", "shift-import")


def _has_domains(info: dict[str, Any]) -> bool:
    splits = set(info["splits"])
    return len(splits) > 1 and not {"train", "val", "test"} & splits and len(info["classes"]) > 1
