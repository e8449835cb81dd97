"""One photo against labels that are asked for in several ways: strategy by strategy, and sentence by sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.data.prompts import STRATEGIES, parse_labels, prompts_for, strategy_templates
from core.figures.theme import Figure
from core.figures.zero_shot import (
    leading_labels,
    plot_strategy_slopes,
    plot_template_scores,
)
from core.methods.clip.zero_shot import ZeroShotScores
from pages.shared.charts import show_chart
from pages.shared.pickers import Picture
from pages.shared.zero_shot import (
    MOST_AT_ONCE,
    scores_by_template,
    scores_of,
    sentence_vectors,
)

DEFAULT_LABELS = "espresso, coffee mug, teapot, wooden spoon, plate, cat, dog, sports car"


# Side by side: the ensemble of 80 joins them when it is chosen, since it reads 80 sentences for every new label.
USUAL = ("plain", "photo", "descriptive", "domain", "ensemble")


# Strategies are compared for so many labels at most; all of ImageNet would be 11,000 sentences.
MOST_COMPARED = 60


@dataclass(frozen=True, kw_only=True)
class StrategyRequest:
    """What the widgets ask."""

    labels: tuple[str, ...]
    strategy: str
    templates: tuple[str, ...]
    notes: tuple[str, ...]


def read_question() -> StrategyRequest:
    """The question as the session's widgets have it.

    Raises:
        ConfigError: there is no label, or a template without a place for it.
    """
    state = st.session_state
    found = parse_labels(state.get("labels", DEFAULT_LABELS) or "")
    strategy = state.get("strategy") or "photo"
    templates = strategy_templates(strategy, domain=state.get("domain") or "", custom=state.get("templates") or "")
    return StrategyRequest(labels=found.names, strategy=strategy, templates=templates, notes=found.notes)


def show_strategies(name: str, picture: Picture, question: StrategyRequest) -> None:
    """Strategies side by side, and the sentences one by one."""
    if len(question.labels) > MOST_COMPARED:
        st.caption(f"Strategies are compared for up to {MOST_COMPARED} labels; there are {len(question.labels):,}.")
        return
    results = compared_scores(name, picture, question)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**The same question, asked differently**")
        show_chart(
            strategy_figure(results),
            key="slopes",
            alt="Probability of each label under each prompt strategy, joined by lines.",
        )
        st.caption("Steep lines: the words around the label decide, not the picture.")
    with right:
        st.markdown("**Sentence by sentence**")
        labels, templates, shares, together = template_answers(name, picture, question, results)
        show_chart(
            plot_template_scores(templates, labels, shares, together),
            key="templates_figure",
            alt="Probability of the best labels under each single sentence, beside all sentences together.",
        )
        with st.expander(f"All {len(templates)} sentences"):
            st.dataframe(template_table(templates, labels, shares), hide_index=True, width="stretch")


def compared_strategies(question: StrategyRequest) -> dict[str, tuple[str, ...]]:
    """The strategies that stand side by side: the usual ones, and the one that was chosen."""
    domain = st.session_state.get("domain") or ""
    found = {each: strategy_templates(each, domain=domain) for each in USUAL}
    return found | {question.strategy: question.templates}


def compared_scores(name: str, picture: Picture, question: StrategyRequest) -> dict[str, ZeroShotScores]:
    """What each of the compared strategies says."""
    strategies = compared_strategies(question)
    every = tuple(dict.fromkeys(template for each in strategies.values() for template in each))
    if len(question.labels) * len(every) <= MOST_AT_ONCE:
        # A new label is read in all its sentences at once, which is faster than strategy by strategy.
        sentence_vectors(name, prompts_for(question.labels, every))
    return {
        strategy: scores_of(name, picture.digest, picture.image, question.labels, templates)
        for strategy, templates in strategies.items()
    }


def strategy_figure(results: dict[str, ZeroShotScores]) -> Figure:
    """The slopes of the labels from one strategy to the next; `results` as of `compared_scores`."""
    return plot_strategy_slopes(list(results.values()), [STRATEGIES[each].title for each in results])


def template_answers(
    name: str, picture: Picture, question: StrategyRequest, results: dict[str, ZeroShotScores]
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray, np.ndarray]:
    """The leading labels, sentences, what each says alone (sentences, labels), and what all say together (labels,).

    The sentences are those of the strategy, or of all strategies where it has but one.
    """
    templates = question.templates
    if len(templates) == 1:
        every = (template for each in compared_strategies(question).values() for template in each)
        templates = tuple(dict.fromkeys(every))
    together = scores_of(name, picture.digest, picture.image, question.labels, templates)
    # The same labels in the same colours as the slopes beside.
    chosen = leading_labels(list(results.values()))
    _, shares = scores_by_template(name, picture.digest, picture.image, question.labels, templates)
    labels = tuple(question.labels[index] for index in chosen)
    return labels, templates, shares[:, chosen], together.probabilities[0, chosen]


def template_table(templates: tuple[str, ...], labels: tuple[str, ...], shares: np.ndarray) -> pd.DataFrame:
    """A row per sentence: what it says, and how sure it is of each of the best labels."""
    table = pd.DataFrame(shares, columns=[str(label) for label in labels])
    winners = table.idxmax(axis=1)
    table.insert(0, "sentence", templates)
    table.insert(1, "says", winners)
    return table.sort_values(labels[0], ascending=False).round(3)
