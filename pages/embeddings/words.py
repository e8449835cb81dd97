"""What the Embeddings page says: findings in words, colours, tables, all computed from its numbers."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from core.figures.embedding import SCALE, DepthRow, Outlines, label_palette, share_groups
from core.intervals import paired_interval, wilson_interval
from core.methods.embeddings.embedding import PlaneConfig
from core.methods.embeddings.embedding_quality import agreement, overlap, overlap_by_chance
from core.methods.embeddings.search import best
from core.shares import FEW, counted, difference_words, interval_words, share
from pages.components.image_plane.image_plane import Chosen, Colours, Paint
from pages.embeddings.image_sets import ChosenImages
from pages.embeddings.spaces import NEAR, Drawing, PlaneView, cuts_of, similarity_of
from pages.shared.address import asked, remember, remembered
from pages.shared.foreign import plain

NO_OUTLINE = "none"  # in the address


def colours_of(shown: PlaneView) -> list[Colours]:
    """What the colours can say: the label, whether the neighbours share it, whether two spaces agree on neighbours."""
    images, near = shown.given.images, [space.near for space in shown.spaces]
    if not images.labelled:
        found = [Colours(title="None", codes=np.zeros(len(images)), legend=["pictures"], palette=label_palette(1))]
    else:
        present = sorted(set(images.labels.tolist()))
        asked = near[-1] if shown.film else near[0]
        found = [
            Colours(
                title="Label",
                codes=np.searchsorted(present, images.labels),
                legend=[images.classes[label] for label in present],
                palette=label_palette(len(present)),
            ),
            shares_as_colours(
                agreement(asked, images.labels, NEAR),
                min(NEAR, asked.count),
                "Neighbours with its label" + (", first model" if shown.two else ""),
            ),
        ]
    found += [
        Colours(title=each.title, codes=each.codes, legend=each.values, palette=label_palette(len(each.values)))
        for each in images.attributes
    ]
    if shown.two:
        found.append(
            Colours(
                title="Neighbours in common",
                codes=np.digitize(overlap(near[0], near[1], NEAR), [0.01, 0.1, 0.25, 0.5]),
                legend=["none", "below 10 %", "10–25 %", "25–50 %", "half or more"],
                palette=SCALE,
            )
        )
    return found


def paint_of(shown: PlaneView) -> Paint:
    """What colours and outlines say: as somebody chose, else the label, and the split or condition around it."""
    titles = [each.title for each in colours_of(shown)]
    other = next((each.title for each in shown.given.images.attributes if each.title != titles[0]), "")
    chosen = {}
    for name, default, offered in (("colour", titles[0], titles), ("outline", other, ["", *titles])):
        key = f"plane_{name}"
        # Only what was chosen is kept: what is usual differs from set to set.
        wanted = remembered(key, default) if key in st.session_state or asked(key) else default
        wanted = "" if wanted == NO_OUTLINE else wanted
        chosen[name] = wanted if wanted in offered else default
    return Paint(**chosen)


def keep_paint(paint: Paint) -> None:
    """Keep what somebody chose, in the address."""
    remember("plane_colour", paint.colour)
    remember("plane_outline", paint.outline or NO_OUTLINE)


def outlines_of(shown: PlaneView) -> Outlines | None:
    """What is around each picture; None where nothing is."""
    wanted = paint_of(shown).outline
    found = next((each for each in colours_of(shown) if each.title == wanted), None)
    return None if found is None else Outlines(codes=found.codes, legend=found.legend, palette=found.palette)


def shares_as_colours(shares: np.ndarray, k: int, title: str) -> Colours:
    """Shares (images,) of `k` neighbours in five colours at most, as `share_groups` groups them."""
    codes, legend, palette = share_groups(shares, k)
    return Colours(title=title, codes=codes, legend=legend, palette=palette)


def knows_sentence(shown: PlaneView) -> str:
    """What neighbours know in the original space, and what of it is left on the plane; of a film, at its end."""
    asked, space, drawing = shown.asked[-1], shown.spaces[-1], shown.drawings[-1]
    dim = space.vectors.shape[1]
    if space.right is None or drawing.right is None:
        count = f"{counted(len(space.vectors), 'picture')} in {dim:,} dimensions"
        return (
            f"**{plain(asked.title)}**: {count}. They have no labels, so that nobody can say whether neighbours are "
            "right."
        )
    k = min(NEAR, space.near.count)
    where = "on the plane" if drawing.plane.coordinates.shape[1] == 2 else "along the three axes drawn"
    return (
        f"The {k:d} nearest others name a picture's {plain(shown.given.images.kind)} in {_share(space.right)} "
        f"in the {dim:,} dimensions of **{plain(asked.title)}**, and in {_share(drawing.right)} {where}."
    )


def faithful_sentence(drawing: Drawing) -> str:
    """How far to trust the plane, in words and numbers."""
    parts = []
    if drawing.plane.explained:
        held = sum(drawing.plane.explained)
        parts.append(f"The {len(drawing.plane.explained)} axes hold {held:.0%} of the variance.")
    quality = drawing.quality
    if quality is not None:
        parts.append(
            f"Of each picture's {quality.k:d} nearest in the original space, {quality.kept:.0%} are among its "
            f"{quality.k:d} nearest here. Trustworthiness {quality.trustworthiness:.3f} "
            f"({_grade(quality.trustworthiness)} that look near are strangers), continuity {quality.continuity:.3f} "
            f"({_grade(quality.continuity)} that are near were torn apart)."
        )
        if quality.count < quality.of:
            parts.append(f"Measured on a fixed sample of {quality.count:,} of the {quality.of:,} pictures.")
    if drawing.plane.note:
        parts.append(plain(drawing.plane.note))
    return " ".join(parts)


def pair_sentence(shown: PlaneView) -> str:
    """Whether two spaces see the same neighbours."""
    k = min(NEAR, shown.spaces[0].near.count)
    common = float(overlap(shown.spaces[0].near, shown.spaces[1].near, k).mean()) if k else 0.0
    count = len(shown.given.images)
    return (
        f"Of the pictures that either counts among a picture's {k:d} nearest, **{common:.0%}** are among them in both "
        f"(Jaccard index, mean over {count:,} pictures; by chance it would be {overlap_by_chance(count, k):.1%})."
    )


def contest_sentence(shown: PlaneView) -> str:
    """Which of two spaces knows the classes better, on the same pictures, and how alike they are as a whole."""
    cka = similarity_of(shown)
    text = f" Linear CKA of the two, debiased: {cka:.2f}." if cka is not None else ""
    first, second = (space.right for space in shown.spaces)
    if first is None or second is None:
        return text.strip()
    ours, theirs, count = int((first & ~second).sum()), int((second & ~first).sum()), len(first)
    gain, low, high = paired_interval(ours, theirs, count)
    verdict = "within chance" if low <= 0 <= high else f"in favour of the {'first' if gain > 0 else 'second'}"
    k = min(NEAR, *(space.near.count for space in shown.spaces))
    return (
        f"The {k:d} nearest name the {plain(shown.given.images.kind)} in {_share(first)} and in {_share(second)}: "
        f"the first minus the second, on the same pictures, {difference_words(ours, theirs, count)}, {verdict}.{text}"
    )


def depth_rows(shown: PlaneView) -> list[DepthRow]:
    """What each layer knows, for the chart; nothing without labels."""
    rows = []
    for title, space, drawing in zip(shown.names, shown.spaces, shown.drawings, strict=True):
        if space.right is None or drawing.right is None:
            continue
        right, count = int(space.right.sum()), len(space.right)
        rows.append(
            DepthRow(
                title=title,
                accuracy=right / count,
                interval=wilson_interval(right, count),
                accuracy_on_plane=float(drawing.right.mean()),
                count=count,
            )
        )
    return rows


def label_table(given: ChosenImages, chosen: Chosen) -> pd.DataFrame:
    """The labels of what is selected: how many, and what share of their class that is."""
    labels = given.images.labels
    selected = labels[list(chosen.items)]
    counts = pd.Series(selected).value_counts()
    return pd.DataFrame(
        {
            "label": [given.images.classes[label] for label in counts.index],
            "selected": counts.to_numpy(),
            "of its class": [count / (labels == label).sum() for label, count in counts.items()],
        }
    )


def plane_table(shown: PlaneView, chosen: Chosen) -> pd.DataFrame:
    """Every picture with its name, label, places and neighbours, for export."""
    images = shown.given.images
    selected = np.zeros(len(images), bool)
    selected[list(chosen.items)] = True
    columns: dict[str, object] = {"id": images.ids}
    if images.classes:
        columns["label"] = [images.classes[label] for label in images.labels]
    columns |= {each.title.lower(): each.words for each in images.attributes}
    columns["selected"] = selected
    for each in shown.found:
        prefix = f"{each.title}: " if len(shown.found) > 1 else ""
        columns[f"{prefix}rank in the search"] = each.found.ranks
        columns[f"{prefix}cosine with the search"] = each.found.similarities
    for plane, title, space in zip(shown.planes, shown.names, shown.spaces, strict=True):
        prefix = f"{title}: " if len(shown.planes) > 1 else ""
        for axis, name in enumerate("xyz"[: plane.shape[1]]):
            columns[f"{prefix}{name}"] = plane[:, axis]
        columns[f"{prefix}nearest in the original space"] = [
            images.ids[row[0]] if len(row) else "" for row in space.near.indices
        ]
        if space.right is not None:
            columns[f"{prefix}neighbours right"] = space.right
    return pd.DataFrame(columns)


def facts(shown: PlaneView, config: PlaneConfig) -> dict[str, object]:
    """The figures of the page, for export."""
    rows = []
    for each, space, drawing in zip(shown.asked, shown.spaces, shown.drawings, strict=True):
        row: dict[str, object] = {"model": each.model, "layer": each.title, "dimensions": space.vectors.shape[1]}
        if each.model and (shape := cuts_of(each.model).shape(each.cut, len(shown.given.images))):
            row["layer_shape"] = shape
        if space.right is not None and drawing.right is not None:
            row["neighbours_right"] = float(space.right.mean())
            row["interval_95"] = wilson_interval(int(space.right.sum()), len(space.right))
            row["neighbours_right_on_plane"] = float(drawing.right.mean())
        if drawing.quality is not None:
            row["faithfulness"] = asdict(drawing.quality)
        rows.append(row)
    return {
        "pictures": shown.given.address,
        "colours": asdict(paint_of(shown)),
        "count": len(shown.given.images),
        "search": [
            {
                "query": each.query,
                "space": each.title,
                "nearest": [[name, cosine] for _, name, cosine in best(each.found, shown.given.images.ids, 24)],
            }
            for each in shown.found
        ],
        "plane": asdict(config),
        "spaces": rows,
    }


def _share(right: np.ndarray) -> str:
    """A proportion with its number and interval."""
    count, correct = len(right), int(right.sum())
    if count < FEW:
        return f"**{share(correct, count)}**"
    return f"**{share(correct, count, 1)}** (n = {count:,}, 95 % interval {interval_words(correct, count)})"


def _grade(value: float) -> str:
    """How many neighbours are wrong, for a measure that is 1 if none are."""
    return "few" if value >= 0.95 else "some" if value >= 0.85 else "many"
