"""What every evaluation of a data set is asked for: which images, and what their classes are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.data.prompts import join_labels, parse_labels
from core.errors import CoreError
from core.experiments.evaluation import choose_labels, evaluated_splits


@dataclass(frozen=True, kw_only=True)
class ChosenImages:
    """The data set and the splits that were chosen.

    Attributes:
        info: the data set's own description, as `core.data.catalogue.installed_datasets` has it.
    """

    dataset: str
    info: dict[str, Any]
    splits: tuple[str, ...]

    @property
    def test_split(self) -> str:
        """The splits as a config has them: empty where they are the usual ones.

        Raises:
            CoreError: none is chosen.
        """
        if not self.splits:
            raise CoreError("No split is chosen.", "Choose at least one to test on.")
        return "" if self.splits == evaluated_splits("", self.info) else "+".join(self.splits)


def choose_images(installed: dict[str, dict[str, Any]], key: str) -> ChosenImages:
    """The widgets of data set and splits; `installed` has at least one, `key` begins the widgets' keys."""
    names = list(installed)
    dataset = st.selectbox(
        "Data set",
        names,
        index=names.index("cifar10") if "cifar10" in names else 0,
        format_func=lambda each: installed[each]["title"],
        key=f"{key}_data",
    )
    info = installed[dataset]
    splits = st.multiselect(
        "Test on", list(info["splits"]), default=list(evaluated_splits("", info)), key=f"{key}_splits_{dataset}"
    )
    return ChosenImages(dataset=dataset, info=info, splits=tuple(splits))


def label_area(images: ChosenImages, key: str) -> str:
    """The widget that holds a label for each class, one a line."""
    return st.text_area(
        f"{len(images.info['classes'])} labels, one for each class in this order",
        value="\n".join(join_labels([label]) for label in choose_labels((), images.info)),
        key=f"{key}_labels_{images.dataset}",
        height=180,
    )


def read_labels(text: str, images: ChosenImages) -> tuple[str, ...]:
    """The labels as a config has them: empty where they are the data set's own.

    Raises:
        CoreError: they are not as many as there are classes.
    """
    given = parse_labels(text).names if text.strip() else ()
    labels = () if given == choose_labels((), images.info) else given
    choose_labels(labels, images.info)
    return labels
