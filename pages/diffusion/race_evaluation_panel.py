"""The diffusion classifier on a whole data set: launched here, run in the background, read from its folder."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.data.catalogue import installed_datasets
from core.experiments.diffusion_zero_shot import RESULT, Config
from core.experiments.zero_shot import evaluated_splits
from core.figures.confusion import MOST_CLASSES, plot_compared_accuracies
from core.methods.accuracy.confusion import surest_errors
from core.models.catalogue import MODELS
from core.models.weights import availability
from core.reports import roughly
from core.runs.store import RunFolder
from core.shares import share_of
from pages.diffusion.race_evaluation import (
    Pace,
    RaceEvaluation,
    card_figures,
    earlier_pace,
    headline,
    paired_sentences,
    probed_pace,
    race_evaluation_figures,
    race_evaluation_table,
    raced_picture,
    read_race_evaluation,
    replay_sentence,
)
from pages.diffusion.race_plan import race_plan
from pages.shared.background_results import GALLERY, Results, error_gallery
from pages.shared.cache import loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.forms import dataset_import
from pages.shared.layout import page_link
from pages.shared.recipes import filled_recipe
from pages.shared.tested_images import choose_images, label_area, read_labels
from pages.shared.zero_shot import read_model_card

# A network of so many parameters is probed without being asked: a pass takes moments.
SMALL = 60_000_000


def _line(run: RunFolder) -> str:
    """A result in a few words."""
    found = read_race_evaluation(run)
    summary = found.summary
    return (
        f"{share_of(found.accuracy.correct, found.accuracy.count, digits=1)} · {summary['model_title']} · "
        f"{summary['dataset_title']} ({summary['split']})"
    )


RESULTS = Results(recipe="diffusion_zero_shot", key="races", file=RESULT, line=_line)


def panel(name: str) -> None:
    """The form, what runs now, and a result: the newest, or the one of the address."""
    form, stage = st.columns([4, 9], gap="large")
    finished = RESULTS.finished()
    with form, guard():
        _form(name, finished)
    with stage:
        RESULTS.progress()
        with guard():
            if not finished:
                _nothing_yet(name)
            else:
                _show(read_race_evaluation(RESULTS.choose(finished)))


def export(name: str) -> Export:
    """The result that is shown.

    Raises:
        CoreError: there is none.
    """
    run = RESULTS.shown()
    found = read_race_evaluation(run)
    return Export(
        stem="diffusion_evaluation",
        recipe=filled_recipe(
            "shared",
            "run",
            recipe="diffusion_zero_shot",
            name=f"{run.name}-again"[:80],
            overrides=list(run.read_spec().overrides),
        ),
        figures=race_evaluation_figures(found),
        table=race_evaluation_table(found),
        facts=found.summary,
        arrays={key: found.columns[key] for key in ("leader", "calls_by_draw")},
    )


def _form(name: str, finished: list[RunFolder]) -> None:
    """What to evaluate on, what it will cost, and the button."""
    st.markdown(f"**{plain(loaded_model(name).spec.title)}** names images by denoising them under every label.")
    installed = installed_datasets()
    if not installed:
        st.info("No data set is on this machine yet.", icon=":material/database_off:")
    else:
        config = _config(name, installed)
        if config is not None:
            with guard():
                _cost(config, installed[config.dataset], finished)
        RESULTS.launch(config, name, config.dataset if config is not None else "")
    with st.popover("Import a data set", icon=":material/upload:", type="tertiary"):
        dataset_import("my_images", "races-import")


def _config(name: str, installed: dict[str, Any]) -> Config | None:
    """The config that the widgets make, or None beside a sentence."""
    tested = choose_images(installed, "races")
    first, second = st.columns(2, vertical_alignment="bottom")
    images = first.number_input(
        "Images", 0, 1_000_000, 100, 50, key="races_images", help="A random part of all of them; 0 is all."
    )
    with second, guard():
        plan = race_plan()
    full_grid = st.toggle(
        "Full grid",
        key="races_full_grid",
        help="No prompt leaves: every draw is computed for all, which shows what pruning saves, at which price.",
    )
    with st.expander("Labels, prompt, other models", icon=":material/tune:"):
        labels = label_area(tested, "races")
        card = read_model_card(name)
        template = st.text_input(
            "Prompt, with {} for the label",
            value=str(card.get("prompt") or Config().template),
            key=f"races_template_{name}",
        )
        ready = [each for each, spec in MODELS.items() if _answers(each) and availability(spec).state == "ready"]
        compared = st.multiselect(
            "The same images also to",
            ready,
            default=[each for each in Config().compare_with if each in ready and _knows(each, tested.info)],
            format_func=lambda each: MODELS[each].title,
            key=f"races_compared_{tested.dataset}",
        )
    with guard():
        return Config(
            model=name,
            dataset=tested.dataset,
            test_split=tested.test_split,
            images=int(images),
            template=template.strip(),
            labels=read_labels(labels, tested),
            plan=plan,
            full_grid=full_grid,
            compare_with=tuple(compared),
        )
    return None


def _answers(name: str) -> bool:
    """Whether a model of the catalogue names images."""
    return not MODELS[name].lacks("image_text") or not MODELS[name].lacks("classifier")


def _knows(name: str, info: dict[str, Any]) -> bool:
    """Whether comparing with it makes sense before anybody chose: a CIFAR-10 classifier on CIFAR-10, or any words."""
    return not MODELS[name].lacks("image_text") or set(loaded_model(name).classes) == set(info["classes"])


def _cost(config: Config, info: dict[str, Any], finished: list[RunFolder]) -> None:
    """How many calls the run needs at most, and how long they take here."""
    total = sum(info["splits"][split] for split in evaluated_splits(config.test_split, info))
    images = min(total, config.images or total)
    grid = images * len(info["classes"]) * config.plan.most_draws
    pace = earlier_pace(config.model, config.plan, finished)
    if pace is None:
        module = loaded_model(config.model).module
        small = sum(parameter.numel() for parameter in module.parameters()) <= SMALL
        if not small and not st.button("How long will it take?", icon=":material/timer:", key="races_probe"):
            st.caption(f"{images:,} images, at most {grid:,} calls of the network.")
            return
        pace = probed_pace(config.model)
    st.caption(cost_sentence(images, grid, pace, pruned=config.plan.pruning != "none" and not config.full_grid))


def cost_sentence(images: int, grid: int, pace: Pace, *, pruned: bool) -> str:
    """What a run of `images` costs whose full grid has `grid` calls; `pruned`: prompts may leave before the end."""
    per = f"{1000 * pace.call_seconds:.3g} ms a call, {plain(pace.source)}"
    longest = roughly(grid * pace.call_seconds)
    if not pruned:
        return f"{images:,} images, {grid:,} calls of the network: about {longest} ({per})."
    if pace.calls is None or pace.full_grid is None:
        return (
            f"{images:,} images, at most {grid:,} calls of the network: at most {longest} ({per}). How much of it "
            "pruning saves depends on how far the prompts are apart."
        )
    share = pace.calls / pace.full_grid
    return (
        f"{images:,} images, at most {grid:,} calls. If pruning leaves {share:.0%} of them, as it did there: about "
        f"{roughly(grid * share * pace.call_seconds)} ({per})."
    )


def _nothing_yet(name: str) -> None:
    """What is known before anything was evaluated here: the figures of the model's own card."""
    known = card_figures(name)
    if known:
        st.markdown("**What its card says**, measured when it was trained")
        st.plotly_chart(
            plot_compared_accuracies([title for title, _ in known], [right for _, right in known], chosen=-1),
            width="stretch",
            key="race_card",
            alt="Accuracies from the model's card with their 95 % intervals.",
        )
    st.info(
        "Nothing has been evaluated on this machine yet. A run goes on when this page is closed; when it is stopped, "
        "the races that are finished are kept.",
        icon=":material/query_stats:",
    )


def _show(found: RaceEvaluation) -> None:
    """Accuracy against calls and confusion, the comparison in sentences, classes and pruning, errors."""
    st.markdown(f"#### {plain(found.accuracy.sentence())}")
    st.caption(plain(headline(found)))
    figures = race_evaluation_figures(found)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Had every race been stopped after so many calls**")
        st.plotly_chart(
            figures["accuracy_by_calls"],
            width="stretch",
            key="accuracy_by_calls",
            alt="Accuracy against the calls that an image may cost, with the other models as lines across.",
        )
    with right:
        st.markdown("**Who is taken for whom**")
        st.plotly_chart(
            figures["confusion"],
            width="stretch",
            key="race_confusion",
            alt="Confusion matrix: true classes down, what was said across.",
        )
    for sentence in paired_sentences(found):
        st.markdown(f"- {plain(sentence)}")
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Class by class**")
        st.plotly_chart(
            figures["classes"], width="stretch", key="race_classes", alt="Accuracy of every class with its interval."
        )
    with right:
        if "pruning" in figures:
            st.markdown("**What pruning saves, and its price**")
            st.plotly_chart(
                figures["pruning"],
                width="stretch",
                key="race_pruning",
                alt="Calls saved and share of the full grid's answers, for several plans.",
            )
            st.caption(plain(replay_sentence(found)))
    if len(found.classes) > MOST_CLASSES:
        st.caption(f"Of {len(found.classes)} classes, the matrix shows the {MOST_CLASSES} with the most errors.")
    with guard():
        _gallery(found)
    _more(found)


def _gallery(found: RaceEvaluation) -> None:
    """The errors that were made after the fewest calls: those it was surest of."""
    said_by = dict(zip((row["title"] for row in found.summary["others"]), found.columns["compared"], strict=True))

    def caption(index: int) -> str:
        true, said = found.classes[found.labels[index]], found.classes[found.predicted[index]]
        alike = [title for title, answer in said_by.items() if answer[index] == found.predicted[index]]
        too = f"; {plain(', '.join(alike))} too" if alike else ""
        return f"{plain(true)} → **{plain(said)}**, {found.calls[index]:,} calls{too}"

    error_gallery(
        "Quickest errors",
        f"race_errors_{found.name}",
        found.classes,
        found.confusion,
        find=lambda true, said: surest_errors(
            found.labels, found.predicted, -found.calls, GALLERY, true_class=true, said_class=said
        ),
        picture=lambda index: raced_picture(found, index),
        caption=caption,
    )


def _more(found: RaceEvaluation) -> None:
    summary = found.summary
    plan = summary["plan"]
    spent = roughly(summary["image_seconds"]["mean"] * len(found.labels))
    with st.expander(f"Prompt, plan, command · {spent} in all"):
        st.markdown(f"**Prompt** {plain(summary['template'])}")
        st.markdown(f"**Labels** {plain(', '.join(found.classes[:60]))}")
        draws = summary["calls"]["full_grid"] // len(found.classes)
        st.markdown(
            f"**Plan** {plain(plan['objective'])} error, {plain(summary['plan_words'])}, at most {draws:,} draws; "
            f"{plain(summary['precision'])}, batches of {plain(summary['batch_size'])}, "
            f"{plain(summary['threads'])} threads"
        )
        st.code(summary["command"], language="bash", wrap_lines=True)
        page_link("runs", "Its run", "monitoring", run=found.name)
