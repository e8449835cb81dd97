"""Starting a run from the Train page: how long it would take, on what, under which name."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from typing import Any

import streamlit as st

from core.configs import differences, from_dict
from core.device import device_title, pick_device
from core.errors import CoreError
from core.experiments.estimate import Estimate
from core.experiments.spec import Recipe
from core.launch.queue import devices, submit
from core.precision_choice import known_choice
from core.reports import OnProgress
from core.runs.store import RunSpec, create_run, list_runs
from pages.shared.address import remember
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain
from pages.shared.layout import page_link
from pages.shared.once import once
from pages.shared.probe_process import printed_by
from pages.shared.work import with_progress

LAUNCHED = "train-launched"
LAUNCHERS = {"local": "this machine", "slurm": "Slurm"}


def launch_panel(recipe: Recipe, config: Any | None, *, parent: str, obstacle: str) -> None:
    """Name, device, estimate and the button; `config` is None and `obstacle` says why where nothing can be launched."""
    ready = config is not None and not obstacle
    name_column, device_column = st.columns(2)
    suggestion = suggested_name(recipe.name, config)
    name = name_column.text_input(
        "Name",
        suggestion,
        key=f"run-name-{suggestion}",
        max_chars=80,
        help="Letters, digits, dots, hyphens, underscores.",
    ).strip()
    places = ["auto", *devices()]
    device = device_column.selectbox("Device", places, format_func=_device_words, key="run-device")
    gpus = [place for place in places if place.startswith("cuda:")]
    processes = 1
    if len(gpus) > 1 and device == "auto":
        processes = st.number_input(
            "GPUs", 1, len(gpus), 1, key="run-processes", help="One process each; the batch is shared between them."
        )
    launcher, options = _launcher()
    if launcher == "local" and (said := _precision_words(config, device)):
        st.caption(plain(said))
    left, right = st.columns(2)
    measure = left.button(
        "How long will it take?", icon=":material/timer:", disabled=not ready, width="stretch", key="run-estimate"
    )
    launch = right.button(
        "Launch", type="primary", icon=":material/rocket_launch:", disabled=not ready, width="stretch", key="run-launch"
    )
    if obstacle:
        st.caption(f":material/block: {obstacle}")
    if config is None:
        return
    if measure:
        _measure(recipe, config, device)
    if (found := st.session_state.get("estimates", {}).get(_question(recipe, config, device))) is not None:
        st.info(plain(found.sentence()), icon=":material/timer:")
    if launch:
        spec = RunSpec.of(
            recipe.name,
            config,
            device=device,
            processes=processes,
            launcher=launcher,
            launcher_options=options,
            parent=parent or None,
        )
        _launch(name, spec)
    _launched()


def suggested_name(recipe: str, config: Any | None) -> str:
    """A name that no run has: the recipe's or family's, what matters most, and a number."""
    parts = [getattr(config, "family", None) or getattr(config, "backbone", None) or recipe]
    if (patch := getattr(getattr(config, "model", None), "patch_size", None)) is not None:
        parts.append(f"p{patch}")
    stem = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(map(str, parts))).strip("-")[:60] or "run"
    taken = {run.name for run in list_runs()}
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def _launcher() -> tuple[Any, dict[str, Any]]:
    """Who starts the run; a cluster is offered where there is one."""
    if not (shutil.which("sbatch") and importlib.util.find_spec("submitit")):
        return "local", {}
    launcher = st.segmented_control(
        "Where", list(LAUNCHERS), format_func=LAUNCHERS.__getitem__, default="local", required=True, key="run-launcher"
    )
    if launcher == "local":
        return launcher, {}
    first, second, third = st.columns(3)
    partition = first.text_input("Partition", key="slurm-partition", placeholder="the cluster's default")
    gpus = second.number_input("GPUs", 0, 64, 0, key="slurm-gpus")
    minutes = third.number_input("Time limit (min)", 1, 100_000, 60, key="slurm-minutes")
    options: dict[str, Any] = {"timeout_min": int(minutes)}
    if partition.strip():
        options["partition"] = partition.strip()
    if gpus:
        options["gpus"] = int(gpus)
    return launcher, options


@st.cache_data(ttl=15, show_spinner=False)
def _device_words(name: str) -> str:
    if name == "auto":
        return "automatic: the first free GPU, else the CPU"
    try:
        return device_title(name)
    except RuntimeError:  # a GPU that is there and does not answer
        return f"{name} (does not answer)"


def _precision_words(config: Any | None, device: str) -> str:
    """What "auto" means for a training there, without measuring; nothing where the precision is set."""
    if getattr(getattr(config, "training", config), "precision", "") != "auto":
        return ""
    try:
        known = known_choice(pick_device(device))
    except (CoreError, RuntimeError):  # the device does not answer: launching says so
        return ""
    if known is None:
        return "Precision auto: fp32 or bf16, whichever is faster here; a second's measurement when the run starts."
    return known.sentence()


def _question(recipe: Recipe, config: Any, device: str) -> tuple[Any, ...]:
    return recipe.name, tuple(differences(config)), device


def _measure(recipe: Recipe, config: Any, device: str) -> None:
    """Run the probe in a process of its own and keep what it found for this session."""
    pairs = [part for pair in differences(config) for part in ("--set", pair)]
    command = [sys.executable, "-m", "core", "estimate", recipe.name, "--json", "--device", device, *pairs]

    def measure(on_progress: OnProgress) -> Estimate | None:
        said, found = [(0.0, "starting it in a process of its own")], None
        for values in printed_by(command, lambda: on_progress(*said[-1])):
            if "total_seconds" in values:
                found = from_dict(Estimate, values)
            else:
                said.append((values["share"], f"step {values['step']:,} of {values['steps']:,}"))
        return found

    with guard():
        if (found := with_progress("Measuring a few steps of this very training", measure)) is not None:
            st.session_state.setdefault("estimates", {})[_question(recipe, config, device)] = found


def _launch(name: str, spec: RunSpec) -> None:
    def act() -> str:
        submit(create_run(name, spec))
        return name

    try:
        launched = once("launch", act)
    except CoreError as error:
        show_error(error)
        return
    remember(LAUNCHED, launched)
    remember("runs", launched)
    st.rerun()


def _launched() -> None:
    """The last launch of this session, with the way to its curves."""
    last: str | None = st.session_state.get(LAUNCHED)
    if last is None:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/rocket_launch: **{plain(last)}** is launched.")
        page_link("runs", "**Watch it**", "monitoring", run=last)
