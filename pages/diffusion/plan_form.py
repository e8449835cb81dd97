"""How the prompts are compared: objective, time steps, budget and pruning, all in the address."""

from __future__ import annotations

from typing import cast

import streamlit as st

from core.errors import ConfigError
from core.methods.diffusion.sampling_plan import Distance, Objective, Plan, Pruning, Sampling
from pages.shared.address import bound, whole_number

OBJECTIVES: dict[Objective, str] = {"noise": "Noise", "reconstruction": "Reconstruction"}
SAMPLINGS: dict[Sampling, str] = {"uniform": "At random", "even": "Evenly spaced", "staged": "Staged"}
PRUNINGS: dict[Pruning, str] = {"forecast": "Forecast", "t_test": "t-test", "stages": "Stages", "none": "None"}
DISTANCES: dict[Distance, str] = {"l2": "Squared", "l1": "Absolute", "huber": "Huber"}


def plan_form() -> Plan:
    """The popover with all settings, and the plan that comes of them.

    Raises:
        ConfigError: the stages make no sense.
    """
    usual = Plan()
    with st.popover("Plan", icon=":material/tune:", width="stretch"):
        objective = st.segmented_control(
            "Error of", list(OBJECTIVES), format_func=OBJECTIVES.__getitem__, default=usual.objective, required=True,
            key="objective", bind="query-params",
            help="Of the noise (Li et al.), or of the reconstruction, weighted by exp(−k t/T) (Clark & Jaini).",
        )  # fmt: skip
        first, second = st.columns(2)
        distance = first.selectbox(
            "Distance", list(DISTANCES), format_func=DISTANCES.__getitem__, key="distance", bind="query-params"
        )
        decay = second.number_input(
            "Decay k", 0.0, 50.0, usual.decay, 0.5, key="decay", bind=bound("decay"),
            disabled=objective != "reconstruction", help="Large: early, hardly noised steps decide.",
        )  # fmt: skip
        first, second = st.columns(2)
        sampling = first.selectbox(
            "Time steps", list(SAMPLINGS), format_func=SAMPLINGS.__getitem__, key="sampling", bind="query-params"
        )
        pruning = second.selectbox(
            "Pruning", list(PRUNINGS), format_func=PRUNINGS.__getitem__, key="pruning", bind="query-params",
            help="Forecast: what tells most is measured first, and a prompt leaves when it will hardly win. t-test: "
            "when it is surely worse than the leader. Stages: a fixed number stays.",
        )  # fmt: skip
        staged = sampling == "staged" or pruning == "stages"
        first, second = st.columns(2)
        samples = first.number_input(
            "Most samples", 1, 10_000, usual.samples, 20, key="samples", bind=bound("samples"), disabled=staged,
            help="Pairs of noise and time step, the same for all prompts.",
        )  # fmt: skip
        seed = second.number_input("Seed", 0, 9999, 0, key="sampling_seed", bind=bound("sampling_seed"))
        tested = pruning == "t_test"
        forecast = pruning == "forecast"
        error_rate = st.number_input(
            "Error rate", 0.0, 0.5, usual.error_rate, 0.005, format="%.4f", key="error_rate", bind=bound("error_rate"),
            disabled=not forecast,
            help="So many answers may differ from those of all samples, by the forecast's model. 0: no prompt leaves.",
        )  # fmt: skip
        first, second = st.columns(2)
        threshold = first.number_input(
            "p-value", 0.0, 1.0, usual.threshold, 0.001, format="%.4f", key="threshold", bind=bound("threshold"),
            disabled=not tested, help="A prompt leaves below it.",
        )  # fmt: skip
        least = second.number_input(
            "First look", 2, 10_000, usual.least_samples, key="least_samples", bind=bound("least_samples"),
            disabled=not tested, help="Samples before the first test.",
        )  # fmt: skip
        every = st.slider(
            "Samples between two looks", 1, 50, usual.look_every, key="look_every", bind="query-params",
            disabled=forecast, help="A forecast is looked at after every few calls.",
        )  # fmt: skip
        first, second = st.columns(2)
        ends = first.text_input(
            "Stages end after",
            _join(usual.stage_samples),
            key="stage_samples",
            bind="query-params",
            disabled=not staged,
        )
        keeps = second.text_input(
            "and keep", _join(usual.stage_keeps), key="stage_keeps", bind="query-params", disabled=not staged
        )
    return Plan(
        objective=objective,
        distance=distance,
        decay=float(decay),
        sampling=sampling,
        samples=int(samples),
        pruning=pruning,
        least_samples=int(least),
        look_every=int(every),
        error_rate=float(error_rate),
        threshold=float(threshold),
        stage_samples=_numbers(ends, "Stages end after") if staged else usual.stage_samples,
        stage_keeps=_numbers(keeps, "and keep") if staged else usual.stage_keeps,
        seed=int(seed),
    )


def _join(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _numbers(text: str, title: str) -> tuple[int, ...]:
    """
    Raises:
        ConfigError: there is something else than whole numbers.
    """
    numbers = [whole_number(part, 1_000_000) for part in text.replace(",", " ").split()]
    if None in numbers:
        raise ConfigError(f"“{title}” is {text[:40]!r}; expected whole numbers.", "For example 50, 200.")
    return tuple(cast(list[int], numbers))
