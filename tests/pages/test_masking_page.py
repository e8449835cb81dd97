"""The Masking page: each mask asked once, first things first; what its slider is told; its mask in the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import ConfigError
from core.paths import CHECKOUT
from pages.components.masked_photo.mask_painter import read_removed
from pages.masking import asking
from pages.masking.address import choose_step, read_mask, written_mask
from pages.masking.telling import find_out
from pages.shared import results
from pages.shared.cache import loaded_model
from pages.shared.pictures import picture_at
from pages.shared.views import MaskingView
from tests.pages.exports import exported, keep_exports
from tests.pages.harness import open_page

CNN = "cnn_small"
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))
QUESTION = asking.MaskingQuestion(CNN, "noise", 3, "blur", 4)
GRIDS = st.tuples(st.integers(1, 30), st.integers(1, 30))


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: dict[str, object] = {}
    monkeypatch.setattr("pages.shared.results._stores", lambda: stores)


@contextmanager
def passes() -> Iterator[list[int]]:
    """How many pictures the model is given, pass by pass."""
    found: list[int] = []
    hook = loaded_model(CNN).module.register_forward_pre_hook(lambda _module, given: found.append(len(given[0])))
    try:
        yield found
    finally:
        hook.remove()


def test_each_mask_is_asked_once_whichever_curve_it_belongs_to_and_in_small_batches() -> None:
    asking.explanation_of(CNN, "noise", "gradcam", 3, PHOTO)
    with passes() as found:
        curve = asking.masking_of(QUESTION, "most_attended", "gradcam", 0, PHOTO)
        assert sum(found) == 5
        lowest = asking.masking_of(QUESTION, "least_attended", "gradcam", 0, PHOTO)
        assert sum(found) == 5 + 3  # both begin with the whole photo and end without any
        band = asking.band_of(QUESTION, 2, PHOTO)
        assert sum(found) == 8 + 2 * 3
        one = asking.masking_of(QUESTION, "random", "", 0, PHOTO)
        other = asking.masking_of(QUESTION, "random", "", 1, PHOTO)
        tested = asking.faithfulness_of(QUESTION, ("gradcam",), 2, PHOTO)
        assert sum(found) <= 14 + 3 * 3  # what insertion begins with
        assert max(found) <= 4
    assert not np.array_equal(one.confidence, other.confidence)
    np.testing.assert_array_equal(band.curves, [one.confidence, other.confidence])
    np.testing.assert_array_equal(tested.methods["gradcam"].deletion, curve.confidence)
    assert lowest.confidence[-1] == curve.confidence[-1]


def test_the_curve_comes_coarse_first_and_the_step_under_the_finger_with_it() -> None:
    with passes() as found:
        rounds = list(asking.curve_so_far(QUESTION, "centre", "", PHOTO, first=1))
    assert [steps for steps, _ in rounds] == [[0, 1, 4], [0, 1, 2, 4], [0, 1, 2, 3, 4]]
    assert found == [3, 1, 1]
    whole = asking.masking_of(QUESTION, "centre", "", 0, PHOTO)
    for steps, answers in rounds:
        np.testing.assert_array_equal(answers.confidence, whole.confidence[steps])


@given(steps=st.integers(1, 40), data=st.data())
def test_every_step_is_computed_once(steps: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, steps))
    rounds = asking.coarse_first(steps, first)
    assert sorted(step for each in rounds for step in each) == list(range(steps + 1))
    assert set(rounds[0]) == {first, 0, steps}


def test_what_the_slider_is_told_grows_and_ends_with_what_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    in_browser: list[Any] = []
    monkeypatch.setattr("pages.components.feed.feed.Feed.tell", lambda _feed, known: in_browser.append(known))
    keep_exports(monkeypatch)
    app = open_page("masking", model=CNN, image="example:cat", share="50")
    facts = exported(app).facts
    results.forget_everything()
    told: list[Any] = []
    find_out(
        MaskingView(model=CNN, image="example:cat", method="gradcam", step=6), picture_at("example:cat"), told.append
    )
    assert in_browser[-1] == told[-1]
    assert "order" not in told[0]
    assert told[0]["progress"]["text"]
    known = [sum(each is not None for each in one["headlines"]) for one in told if "headlines" in one]
    assert known == sorted(known)
    assert (known[0], known[-1]) == (3, 13)
    assert ["band" in one for one in told].index(True) > ["lines" in one for one in told].index(True)
    last = told[-1]
    assert "progress" not in last
    assert (last["headlines"][6], last["sentence"]) == (facts["headline"], facts["areas"])


@pytest.mark.parametrize("grid", [(8, 8), (7, 5)])  # of 32 × 32 pixels
def test_the_browser_puts_the_very_pixels_together_that_the_model_gets(
    grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `placeOfPatch` of masked_photo.js cuts them."""
    monkeypatch.setattr(asking, "mask_grid", lambda *_: grid)
    digest, removed = f"noise {grid}", (0, 6, grid[0] * grid[1] - 1)
    files = asking.ground_of(CNN, digest, "noise", PHOTO)
    shown, filling = (np.array(Image.open(BytesIO(file))) for file in files)
    for patch in removed:
        row, column = divmod(patch, grid[1])
        place = (_cut(row, grid[0], len(shown)), _cut(column, grid[1], len(shown)))
        shown[place] = filling[place]
    np.testing.assert_array_equal(shown, asking.masked_photo_of(CNN, digest, "noise", removed, PHOTO))


def _cut(number: int, of: int, side: int) -> slice:
    return slice(-(-number * side // of), -(-(number + 1) * side // of))


@given(grid=GRIDS, data=st.data())
def test_a_mask_survives_its_address(grid: tuple[int, int], data: st.DataObject) -> None:
    removed = sorted(data.draw(st.sets(st.integers(0, grid[0] * grid[1] - 1))))
    text = written_mask(removed, grid)
    assert read_mask(text, grid) == tuple(removed)
    assert re.fullmatch(r"[\w.-]+", text, re.ASCII)  # nothing that an address has to escape
    assert len(text) <= 10 + 4 * -(-grid[0] * grid[1] // 24)


@pytest.mark.parametrize(
    "text", ["", "🙈", "8x8.", "8x8.!!!", "8x8.A", "8x8.//8", "0x8.AA", "8x8.AAAAAAAAAAAB", "7x8.gA", "8x8", "x." * 400]
)
def test_a_mask_that_is_none_is_refused_in_a_sentence(text: str) -> None:
    if text == "8x8.":  # nothing set
        assert read_mask(text, (8, 8)) == ()
        return
    with pytest.raises(ConfigError, match="nothing is removed"):
        read_mask(text, (8, 8))


def test_the_address_restores_a_painted_mask_and_nonsense_in_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_exports(monkeypatch)
    painted = [0, 9, 63]
    query = {"model": CNN, "image": "example:cat", "strategy": "By hand"}
    app = open_page("masking", **query, mask=written_mask(painted, (8, 8)))
    export = exported(app)
    assert export.facts["removed"] == painted
    assert "REMOVED: tuple[int, ...] = (0, 9, 63)" in export.recipe
    assert app.query_params["mask"] in (["8x8.gEAAAAAAAAE"], "8x8.gEAAAAAAAAE")
    app = open_page("masking", **query, mask="14x14.gA")
    assert any("14 × 14 patches, and this model has 8 × 8" in warning.value for warning in app.warning)
    assert exported(app).facts["removed"] == []


@pytest.mark.parametrize(("share", "step", "sentences"), [("58", 7, 0), ("8", 1, 0), ("many", 3, 1), ("-5", 3, 1)])
def test_the_share_in_the_address_is_a_step_or_a_sentence(
    share: str, step: int, sentences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_exports(monkeypatch)
    app = open_page("masking", model=CNN, image="example:cat", share=share)
    assert len(app.warning) == sentences
    assert exported(app).facts["step"] == step


def test_every_step_has_its_own_share_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr("pages.masking.address.remember", written.__setitem__)
    for step in range(13):
        choose_step(step, 12)
        assert round(float(written["share"]) / 100 * 12) == step


def test_what_the_browser_says_was_painted_may_be_anything() -> None:
    assert read_removed([3, 0, 3], (2, 2)) == [0, 3]
    for nonsense in (None, "0", [4], [-1], [True], [0.5], {"a": 1}, [0] * 9):
        assert read_removed(nonsense, (2, 2)) is None


def test_no_script_of_a_component_declares_a_name_twice() -> None:
    """They share one piece of script, which Python puts before each of them: a name twice is no component at all."""
    folder = CHECKOUT / "pages" / "components"
    name = re.compile(r"^(?:export default )?(?:async )?(?:function\*? |const |let |class )(\w+)", re.MULTILINE)
    assert "viewOf" in name.findall((folder / "common.js").read_text(encoding="utf-8"))
    seen = 0
    for declared in folder.glob("*/*.py"):
        text = declared.read_text(encoding="utf-8")
        if "js=script(" not in text:
            continue
        files = {folder / "common.js"} | {declared.with_name(each) for each in re.findall(r'"(\w+\.js)"', text)}
        files |= {folder / "line_chart.js"} if "LINE_CHART" in text else set()
        files |= {declared.with_suffix(".js")} if 'with_suffix(".js")' in text else set()
        names = [found for file in files for found in name.findall(file.read_text(encoding="utf-8"))]
        assert len(names) == len(set(names)), (declared.name, {each for each in names if names.count(each) > 1})
        seen += 1
    assert seen >= 15
