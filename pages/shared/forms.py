"""Any config as widgets: a field's metadata is its label, its help and its bounds; nested configs are sections."""

from __future__ import annotations

import dataclasses
import math
import typing
from functools import partial
from types import UnionType
from typing import Any, Literal, TypeVar

import streamlit as st

from core.configs import from_dict
from core.data.catalogue import DATASETS, installed_datasets
from core.errors import CoreError
from core.experiments.preview import decided_by
from core.models.catalogue import MODELS
from core.models.weights import availability, fetch
from core.runs.store import RunSpec
from pages.shared.amounts import amount_input
from pages.shared.dataset_import import arrived, dataset_import
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain
from pages.shared.glossary import explained
from pages.shared.results import with_progress

Config = TypeVar("Config")

# What a newcomer changes first; all else waits under "All settings".
BASIC = (
    "family", "dataset", "backbone", "stage", "mode", "augmentation", "patch_size", "positional",
    "embed_dim", "depth", "num_heads", "epochs", "batch_size", "learning_rate",
)  # fmt: skip
# Words of choices that the field writes otherwise than in small letters.
SPELLED = {
    "1d": "1-D", "2d": "2-D", "adam": "Adam", "adamw": "AdamW", "autoaugment": "AutoAugment", "bernoulli": "Bernoulli",
    "cnn": "CNN", "gaussian": "Gaussian", "gelu": "GELU", "huber": "Huber", "l1": "L1", "l2": "L2",
    "laplace": "Laplace", "lbfgs": "L-BFGS", "mlp": "MLP", "muon": "Muon", "randaugment": "RandAugment", "tpe": "TPE",
    "vae": "VAE", "vit": "ViT",
}  # fmt: skip
SMALL = 1e-3  # below it a number is read by its exponent
SHORT_CHOICES = 30  # letters that fit into buttons side by side


def config_form(config_class: type[Config], key: str, base: Config | None = None) -> Config | None:
    """Widgets for every field of `config_class`, filled with `base`; the config they make, or None beside an error.

    Args:
        key: prefix of the widgets' keys; another key is another form, with its own values.
    """
    start = base if base is not None else config_class()
    values = dataclasses.asdict(start)  # type: ignore[call-overload]
    fields = _fields(config_class, "")
    basic = [entry for entry in fields if entry.name in BASIC] or fields
    complaint = st.container()  # on top, where it is seen wherever the wrong setting is
    _draw(basic, values, key)
    dataset = values.get("dataset")
    decided = decided_by(dataset) if isinstance(dataset, str) else {}
    following = [entry for entry in fields if entry.section and entry.name in decided]
    for entry in following:
        _set(values, entry.path, decided[entry.name])
    rest = [entry for entry in fields if entry not in basic and entry not in following]
    if rest:
        with st.expander("All settings", icon=":material/tune:", key=f"{key}-all"):
            for section in dict.fromkeys(entry.section for entry in rest):
                if section:
                    st.markdown(f"**{plain(_words(section).capitalize())}**")
                _draw([entry for entry in rest if entry.section == section], values, key)
            if following:
                names = ", ".join(f"{entry.label.lower()} {decided[entry.name]}" for entry in following)
                st.caption(f"The data set decides {plain(names)}.")
    try:
        return from_dict(config_class, values)
    except CoreError as error:
        with complaint:
            show_error(error)
        return None


def _draw(fields: list[_Field], values: dict[str, Any], key: str) -> None:
    """Widgets for `fields`, numbers two in a row; what they say goes into `values`."""
    waiting = None
    for entry in fields:
        place: Any = st.container()
        if entry.hint in (int, float) and not entry.optional:
            if waiting is None:
                place, waiting = st.columns(2, vertical_alignment="bottom")
            else:
                place, waiting = waiting, None
        else:
            waiting = None
        with place:
            _set(values, entry.path, _widget(entry, _get(values, entry.path), key))


def command_line(recipe: str, config: Any, name: str) -> str:
    """The command that trains the same without the page."""
    return RunSpec.of(recipe, config).command(name)


@dataclasses.dataclass(frozen=True)
class _Field:
    """One leaf of a config: where it sits, what it may be, how it is described."""

    path: tuple[str, ...]
    hint: Any
    optional: bool
    metadata: typing.Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def section(self) -> str:
        return self.path[-2] if len(self.path) > 1 else ""

    @property
    def label(self) -> str:
        """As the form writes it, with the unit of a number."""
        label = self.metadata.get("label") or self.name.replace("_", " ").capitalize()
        unit = self.metadata.get("unit")
        return f"{label} ({unit})" if unit else label

    @property
    def help(self) -> str | None:
        """What it does, and the meaning of the terms in its label."""
        parts = [self.metadata.get("help") or ""]
        parts += [f"**{term[0].upper()}{term[1:]}**: {meaning}" for term, meaning in explained([self.label])[1].items()]
        return "\n\n".join(part for part in parts if part) or None


def _fields(config_class: Any, prefix: str) -> list[_Field]:
    """Every leaf of a config class and its sections, in order."""
    hints = typing.get_type_hints(config_class)
    found = []
    for field in dataclasses.fields(config_class):
        hint, optional = _without_none(hints[field.name])
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hint):
            found += _fields(hint, f"{path}.")
        else:
            found.append(_Field(tuple(path.split(".")), hint, optional, field.metadata))
    return found


def _without_none(hint: Any) -> tuple[Any, bool]:
    """A hint, and whether None was one of its alternatives."""
    if typing.get_origin(hint) in (typing.Union, UnionType):
        rest = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return rest[0], len(rest) < len(typing.get_args(hint))
    return hint, False


def _widget(entry: _Field, value: Any, key: str) -> Any:
    """The widget of one field; its value."""
    widget = f"{key}-{'-'.join(entry.path)}"
    if entry.optional:
        given = st.toggle(
            entry.label,
            value is not None,
            key=f"{widget}-given",
            help=entry.help,  # ours: of recipes and the glossary
            persist_state="session",
        )
        if not given:
            return None
        value = value if value is not None else _first_value(entry)
    hint = entry.hint
    if entry.name == "dataset" and hint is str:
        return _dataset_picker(entry, value, widget)
    if entry.name in ("backbone", "model") and hint is str:
        return _model_picker(entry, value, widget)
    if typing.get_origin(hint) is Literal:
        return _choice(entry, value, widget) if len(typing.get_args(hint)) > 1 else value
    if hint is bool:
        return st.toggle(entry.label, value, persist_state="session", **_common(entry, widget))
    if hint is int:
        return _whole_number(entry, value, widget)
    if hint is float:
        return _number(entry, value, widget)
    if typing.get_origin(hint) is tuple:
        return _several(entry, value, widget)
    return st.text_input(entry.label, value, persist_state="session", **_common(entry, widget)).strip()


def _common(entry: _Field, widget: str) -> dict[str, Any]:
    return {"key": widget, "help": entry.help}


def _choice(entry: _Field, value: Any, widget: str) -> Any:
    choices = list(typing.get_args(entry.hint))
    if sum(len(str(choice)) + 3 for choice in choices) <= SHORT_CHOICES:
        return st.segmented_control(
            entry.label,
            choices,
            default=value,
            required=True,
            format_func=lambda each: plain(_words(each)),
            persist_state="session",
            **_common(entry, widget),
        )
    return st.selectbox(
        entry.label,
        choices,
        index=choices.index(value) if value in choices else 0,
        format_func=lambda each: plain(_words(each)),
        persist_state="session",
        **_common(entry, widget),
    )


def _whole_number(entry: _Field, value: int, widget: str) -> int:
    low, high = entry.metadata.get("minimum"), entry.metadata.get("maximum")
    most = None if high is None else math.floor(high)
    if zero := entry.metadata.get("zero"):
        return amount_input(entry.label, int(value), zero, most=most, persist_state="session", **_common(entry, widget))
    return st.number_input(
        entry.label,
        min_value=None if low is None else math.ceil(low),
        max_value=most,
        value=int(value),
        step=1,
        persist_state="session",
        **_common(entry, widget),
    )


def _number(entry: _Field, value: float, widget: str) -> float:
    low, high = entry.metadata.get("minimum"), entry.metadata.get("maximum")
    # A tenth of the value's order of magnitude: 0.001 steps by 0.0001, 0.05 by 0.001.
    step = 10.0 ** (math.floor(math.log10(value)) - 1) if value > 0 else 0.01
    return st.number_input(
        entry.label,
        min_value=None if low is None else float(low),
        max_value=None if high is None else float(high),
        value=float(value),
        step=step,
        # The browser writes out 0.000001 under %g.
        format="%e" if 0 < value < SMALL else "%g",
        persist_state="session",
        **_common(entry, widget),
    )


def _several(entry: _Field, value: Any, widget: str) -> tuple[Any, ...]:
    """A tuple: choices as chips, texts one a line, numbers with commas between them."""
    kind = next((argument for argument in typing.get_args(entry.hint) if argument is not Ellipsis), str)
    if typing.get_origin(kind) is Literal:
        chosen = st.multiselect(
            entry.label,
            list(typing.get_args(kind)),
            default=list(value),
            format_func=lambda each: plain(_words(each)),
            persist_state="session",
            **_common(entry, widget),
        )
        return tuple(chosen)
    if kind is str:
        text = st.text_area(entry.label, "\n".join(value), persist_state="session", **_common(entry, widget))
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    text = st.text_input(entry.label, ", ".join(map(str, value)), persist_state="session", **_common(entry, widget))
    # What is no number stays a text, which the config refuses in its own words.
    return tuple(_read_number(part.strip(), kind) for part in text.split(",") if part.strip())


def _read_number(text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        return text


def _dataset_picker(entry: _Field, value: str, widget: str) -> str:
    """Data sets on this machine first, then those that are known but not here, with a way to get them."""
    arrived(f"{widget}-import", widget)
    installed = installed_datasets()
    names = list(dict.fromkeys([*installed, value, *DATASETS]))
    chosen: str = st.selectbox(
        entry.label,
        names,
        index=names.index(value),
        format_func=lambda name: installed[name]["title"] if name in installed else f"{_dataset_title(name)}  ⇣",
        persist_state="session",
        **_common(entry, widget),
    )
    if chosen not in installed:
        st.warning(f"**{plain(_dataset_title(chosen))}** is not on this machine yet.", icon=":material/database_off:")
    missing = chosen not in installed
    label = f"Get {plain(_dataset_title(chosen))}" if missing else "Import a data set"
    look: Literal["primary", "tertiary"] = "primary" if missing else "tertiary"
    with st.popover(label, icon=":material/upload:", type=look, key=f"{widget}-import"):
        dataset_import(chosen if missing else "my_images", f"{widget}-import")
    return chosen


def _dataset_title(name: str) -> str:
    return DATASETS[name].title if name in DATASETS else name


def _model_picker(entry: _Field, value: str, widget: str) -> str:
    """Models of the catalogue and any other name: torchvision and the Hub have more than we list."""
    states = {name: availability(spec).state for name, spec in MODELS.items()}
    names = list(dict.fromkeys([value, *(name for name in states if states[name] != "unavailable")]))

    def describe(name: str) -> str:
        if name not in MODELS:
            return name
        return MODELS[name].title if states[name] == "ready" else f"{MODELS[name].title}  ⇣"

    chosen: str = st.selectbox(
        entry.label,
        names,
        index=names.index(value),
        format_func=describe,
        accept_new_options=True,
        persist_state="session",
        **_common(entry, widget),
    )
    if states.get(chosen) == "fetchable":
        spec, state = MODELS[chosen], availability(MODELS[chosen])
        st.caption(f"Its weights are not on this machine. {plain(state.text)}")
        if st.button(f"Download {plain(spec.title)}", icon=":material/download:", key=f"{widget}-fetch-{chosen}"):
            with guard():
                with_progress(f"Fetching {spec.title} …", partial(fetch, spec))
                st.rerun()
    return chosen


def _first_value(entry: _Field) -> Any:
    """Where an optional field starts once it is switched on."""
    if typing.get_origin(entry.hint) is Literal:
        return typing.get_args(entry.hint)[0]
    low = entry.metadata.get("minimum")
    starts: dict[Any, Any] = {bool: True, int: math.ceil(low or 1), float: float(low or 0.1), str: ""}
    return starts.get(entry.hint, ())


def _words(choice: Any) -> str:
    """A choice as the field writes it."""
    return " ".join(SPELLED.get(word, word) for word in str(choice).split("_"))


def _get(values: dict[str, Any], path: tuple[str, ...]) -> Any:
    for part in path:
        values = values[part]
    return values


def _set(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        values = values[part]
    values[path[-1]] = value
