"""The Embeddings page: its controls change what is shown, a selection fills the panel, stopping stops, recipes run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.data.examples import EXAMPLES
from core.data.pictures import open_picture, open_set
from core.data.uploads import Upload, delete_upload, keep_file, keep_upload
from core.data.vectors import VectorTable, write_vectors
from core.reports import finish
from pages.components.image_plane.image_plane import Chosen, _read
from pages.embeddings.own_sets import short_digest
from pages.shared.recipes import filled_recipe
from pages.shared.results import SharedResults
from tests.pages.exports import run_recipe
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy

QUICK = {"set": "views:6/0", "encoder": "cnn_small", "plane_method": "PCA"}


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def plane(app: AppTest) -> dict[str, Any]:
    """What the component was given."""
    [component] = planes(app)
    return json.loads(component.proto.json)


def planes(app: AppTest) -> list[Any]:
    """Components of the page itself; every page ends with its keys."""
    return [each for each in app.get("bidi_component") if each.key != "page_keys"]


def select(app: AppTest, items: tuple[int, ...], focus: int = -1) -> None:
    """As if the browser had said so."""
    app.session_state["plane_chosen"] = (plane(app)["signature"], Chosen(items=items, focus=focus))
    app.run()
    assert not app.exception, app.exception


def test_one_plane_of_views_with_its_neighbours_and_figures_in_words() -> None:
    app = open_page("embeddings", **QUICK)
    given = plane(app)
    assert given["layout"] == {"planes": 1, "frames": 1, "count": 48, "dimensions": 2, "near": 10}
    assert given["colours"][0]["legend"] == [example.title for example in EXAMPLES.values()]
    text = text_of(app)
    assert "nearest others name a picture's photo in" in text
    assert "n = 48, 95 % interval" in text
    assert "Trustworthiness" in text
    # It opens on a picture that deserves a look.
    assert given["focus"] >= 0
    assert "and its nearest in the original space" in text


def test_a_selection_becomes_a_gallery_and_a_table_of_labels() -> None:
    app = open_page("embeddings", **QUICK)
    select(app, (0, 1, 2, 6), focus=7)
    assert "**4 selected**" in text_of(app)
    assert "3 Cat · 1 Cup of coffee" in text_of(app)
    assert "**Cup of coffee, view 2** and its nearest" in text_of(app)
    table = app.dataframe[0].value
    assert table["of its class"].tolist() == [3 / 6, 1 / 6]
    select(app, ())
    assert "selected**" not in text_of(app)


def test_what_the_browser_says_about_other_pictures_is_ignored() -> None:
    told = {"signature": "ours", "items": [1, 2], "focus": 0}
    assert _read(told, "ours", 3) == Chosen(items=(1, 2), focus=0)
    for other in (
        {**told, "signature": "others"},
        {**told, "items": [1, 3]},
        {**told, "items": ["1"]},
        {**told, "items": None},
        {**told, "focus": -2},
        {**told, "focus": "x"},
        None,
        [],
    ):
        assert _read(other, "ours", 3) is None


def test_layers_become_the_frames_of_one_film() -> None:
    app = open_page("embeddings", **QUICK, planes="Layer by layer")
    given = plane(app)
    assert given["frames"][0] == "pixels"
    assert [frame.partition(":")[0] for frame in given["frames"]] == ["pixels", "early", "middle", "late"]
    assert given["layout"]["frames"] == 4
    assert given["start"] == 3
    assert "bars: 95 % intervals" in text_of(app)


def test_two_models_stand_beside_each_other_with_what_they_share() -> None:
    app = open_page("embeddings", **QUICK, planes="Two models", encoder2="vit_p4", depth2="early")
    given = plane(app)
    assert given["titles"] == [
        "Small CNN on CIFAR-10, stage 4 of 4, mean of all positions",
        "ViT on CIFAR-10, block 2 of 6, class token",
    ]
    text = text_of(app)
    assert "are among them in both (Jaccard index, mean over 48 pictures; by chance it would be" in text
    assert "the first minus the second, on the same pictures, " in text
    assert "Linear CKA of the two, debiased" in text
    assert given["colours"][-1]["title"] == "Neighbours in common"


@pytest.mark.slow
def test_layer_pooling_and_axes_can_be_chosen_and_are_in_the_address() -> None:
    app = open_page("embeddings", **{**QUICK, "encoder": "vit_p4"})
    app.selectbox(key="depth_choice").set_value(0).run()
    assert "pixels" in text_of(app)
    assert app.query_params["depth"] == "pixels"
    app.selectbox(key="pooled_choice").set_value("mean").run()
    app.selectbox(key="depth_choice").set_value(4).run()
    assert "block 4 of 6, mean of all positions" in text_of(app)
    assert app.query_params["depth"] == "4"
    app.segmented_control(key="dimensions").set_value("3-D").run()
    assert not app.exception
    assert plane(app)["layout"]["dimensions"] == 3
    app.selectbox(key="pooled_choice").set_value("embedding").run()
    assert "ViT on CIFAR-10, embedding" in text_of(app)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("nonsense", "unknown pictures"),
        ("data:../../etc/test/5/0", "unknown pictures"),
        ("data:cifar10/test/10/0", "not on this machine"),
        ("photos:0123/1/0", "only the browser"),
        ("vectors:0123456789abcdef", "only the browser"),
        ("splits:toy/10/0", "not on this machine"),
        ("views:0/0", "unknown pictures"),
    ],
)
def test_addresses_that_name_nothing_cost_a_sentence(
    address: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.embeddings.image_sets._EXAMPLE_VIEWS", 3)
    app = open_page("embeddings", **{**QUICK, "set": address})
    assert any(sentence in error.value for error in app.error)
    assert plane(app)["layout"]["count"] == 24


@pytest.mark.parametrize(
    ("count", "words"), [(1, "One image has no neighbours"), (5, "5 images are too few for t-SNE")]
)
def test_very_few_pictures_are_shown_with_a_sentence(count: int, words: str) -> None:
    save_toy()
    app = open_page("embeddings", set=f"data:toy/test/{count}/0", encoder="cnn_small")
    assert not app.error
    assert words in text_of(app)
    assert plane(app)["layout"]["count"] == count


def test_identical_pictures_are_said_to_be_identical() -> None:
    folder = save_toy()
    np.save(folder / "test_images.npy", np.full((20, 8, 8, 3), 90, np.uint8))
    app = open_page("embeddings", set="data:toy/test/20/0", encoder="cnn_small")
    assert not app.error
    assert "All 20 images have the same features" in text_of(app)


def test_stopped_work_stays_stopped_until_somebody_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: dict[str, SharedResults] = {}
    monkeypatch.setattr("pages.shared.results._stores", lambda: stores)
    app = open_page("embeddings", **{**QUICK, "set": "views:4/1"})
    first = next((name, key) for name, store in stores.items() for key in store.found)
    stores.clear()
    app.session_state["stopped_work"] = hashlib.sha256(repr(first).encode()).hexdigest()[:16]
    app.run()
    assert any("Stopped" in info.value for info in app.info)
    assert not planes(app)
    next(button for button in app.button if button.label == "Go on").click().run()
    assert plane(app)["layout"]["count"] == 32


def test_the_recipe_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    cuts = [("cnn_small", 0, "mean"), ("cnn_small", 4, "mean")]
    shown = {"cuts": cuts, "film": True, "plane": {"method": "pca"}, "placed": False, "colour": "Label", "outline": ""}
    recipe = filled_recipe("embeddings", pictures="views:3/0", **shown, find="image:example:cat")
    printed = run_recipe(recipe, capsys)
    assert "stage 4 of 4, mean of all positions: (24, 192)" in printed
    assert "neighbours in common, first and last" in printed
    assert (tmp_path / "plane_2.html").stat().st_size > 10_000
    open_picture("example:cat").save(tmp_path / "cat.png")
    save_toy({"test": 20})
    for pictures, count in (("data:toy/test/5/1", 5), (str(tmp_path), 1)):
        assert len(finish(open_set(pictures))) == count


def test_splits_are_the_outline_and_both_choices_live_in_the_address_and_the_export() -> None:
    save_toy({"train": 30, "test": 10})
    app = open_page("embeddings", set="splits:toy/20/0", encoder="cnn_small", plane_method="PCA")
    given = plane(app)
    assert [each["title"] for each in given["colours"]] == ["Label", "Neighbours with its label", "Split"]
    assert (given["colour"], given["outline"]) == ("Label", "Split")
    assert set(given["colours"][2]["legend"]) == {"train", "test"}
    other = open_page(
        "embeddings", set="splits:toy/20/0", encoder="cnn_small", plane_method="PCA", plane_colour="Split",
        plane_outline="none",
    )  # fmt: skip
    assert (plane(other)["colour"], plane(other)["outline"]) == ("Split", "")
    conditions = open_page("embeddings", set="conditions:toy/test/20/0", encoder="cnn_small", plane_method="PCA")
    assert plane(conditions)["outline"] == "Condition"


def test_a_picture_finds_itself_and_its_nearest_light_on_the_plane() -> None:
    app = open_page("embeddings", **QUICK, find="image:example:cat")
    given = plane(app)
    cat = next(place for place, example in enumerate(EXAMPLES.values()) if example.name == "cat")
    assert len(given["selected"]) == 24
    assert 6 * cat in given["selected"]
    assert "Nearest to **Cat** of 48 pictures by Small CNN" in text_of(app)
    assert "**Cat, view 1**, cosine 1.000" in text_of(app)
    ranking = app.dataframe[0].value
    assert ranking["cosine"].is_monotonic_decreasing
    assert "Searching by words takes a model of images and texts" in text_of(app)
    app.button(key="find_clear").click().run()
    assert not app.exception
    assert not plane(app)["selected"]
    assert "find" not in app.query_params
    assert plane(app)["revision"] > given["revision"]


def test_layers_are_offered_with_the_shapes_of_what_they_give() -> None:
    options = open_page("embeddings", **QUICK).selectbox(key="depth_choice").options
    assert options[-1].startswith("Stage 4/4 · late · 48×192×")
    assert all("48×" in each for each in options[1:])


def test_vectors_of_a_file_are_shown_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a session that begins later finds them again, as another browser does not."""
    random = np.random.default_rng(0)
    table = VectorTable(
        vectors=random.normal(size=(20, 8)).astype(np.float32),
        ids=tuple(f"p{row}" for row in range(20)),
        columns={"label": ("cat", "dog") * 10, "condition": ("dark",) * 10 + ("light",) * 10},
        positions=random.normal(size=(20, 2)).astype(np.float32),
    )
    secret = "a" * 32
    keep_file(secret, "0" * 16, "npz", write_vectors(table, "npz"))
    keep_file(secret, "0" * 16, "json", json.dumps({"title": "mine.csv"}).encode())
    monkeypatch.setattr("pages.embeddings.own_sets.browser_secret", lambda: secret)
    app = open_page("embeddings", set=f"vectors:{'0' * 16}", plane_method="PCA")
    assert not app.error
    given = plane(app)
    assert (given["layout"]["count"], given["pictured"], given["outline"]) == (20, False, "Condition")
    assert "nearest others name a picture" in text_of(app)
    assert "The places are those of the file." in text_of(app)
    # No other method is claimed.
    assert not [each for each in app.segmented_control if each.key == "plane_method"]
    app.toggle(key="file_places").set_value(False).run()
    assert "The 2 axes hold" in text_of(app)
    monkeypatch.setattr("pages.embeddings.own_sets.browser_secret", lambda: "b" * 32)
    stranger = open_page("embeddings", set=f"vectors:{'0' * 16}", plane_method="PCA", encoder="cnn_small")
    assert any("only the browser" in error.value for error in stranger.error)


def test_photos_of_ones_own_are_there_in_the_next_session(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "c" * 32
    keys = []
    for seed in range(3):
        photo = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40, 3)).astype(np.uint8))
        upload = Upload(image=photo, title=f"{seed}.jpg")
        keep_upload(secret, upload)
        keys.append(upload.key)
    digest = short_digest("/".join(keys))
    keep_file(secret, digest, "json", json.dumps({"photos": keys}).encode())
    monkeypatch.setattr("pages.embeddings.own_sets.browser_secret", lambda: secret)
    address = {"encoder": "cnn_small", "plane_method": "PCA", "set": f"photos:{digest}/2/0"}
    app = open_page("embeddings", **address)
    assert not app.error
    assert plane(app)["layout"]["count"] == 6
    # One of them was deleted elsewhere: it is no longer that set.
    delete_upload(secret, keys[0])
    assert any("only the browser" in error.value for error in open_page("embeddings", **address).error)
