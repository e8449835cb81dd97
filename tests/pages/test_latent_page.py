"""The Latent space page: filled without any data set, its controls change what is shown, bad input is a sentence."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.models.checkpoint import ModelCard, save_model
from core.models.vae import VAE, VAEConfig
from core.paths import runs_root
from core.runs.store import RunSpec
from pages.components.draw_canvas.draw_canvas import SIDE, read_drawing
from pages.components.latent_map.latent_map import grid_side, read_place
from pages.components.latent_rows.latent_rows import read_kept, row_steps
from pages.latent import words
from tests.methods.latent.toy_vae import tiny
from tests.pages.exports import check_controls, exported, keep_exports, run_recipe
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy

VIEWS = ("Map", "Reconstructions", "Samples", "Latents", "Walks", "Two runs", "Rate and distortion")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def save_run(name: str, model: VAE | None = None, *, beta: float = 1.0, **changes: Any) -> str:
    """A finished run of the recipe with a tiny model; returns how pages call it."""
    model = model or tiny(image_size=8, channels=3)
    latents = model.config.latent_dim
    folder = runs_root() / name
    values = np.linspace(0.001, 1, latents).round(4).tolist()
    measured = {
        "kl": sum(values), "reconstruction": 40.0, "elbo": -40 - sum(values), "elbo_standard_error": 0.1,
        "squared_error": 9.0, "count": 20, "active_units": latents, "iwae": -40.0, "iwae_draws": 8,
    }  # fmt: skip
    metrics = {f"test_{key}": value for key, value in measured.items()} | {
        "latent_kl": values, "latent_spread": values, "dataset": "toy", "effective_beta": beta,
        "objective": {"warmup": "none", "warmup_epochs": 10.0, "free_bits": 0.0}, **changes,
    }  # fmt: skip
    save_model(
        folder / "model",
        model,
        ModelCard(
            family="vae", title=f"VAE {name}", config=vars(model.config), classes=(),
            mean=(0.0,) * model.config.channels, std=(1.0,) * model.config.channels,
            dataset="Toy", recipe="{}", command=f"python -m core train vae --name {name}", date="2026-01-01",
            metrics=metrics, history=[{"epoch": 1, "val_elbo": -50.0, "val_kl": 2.0}],
        ),
    )  # fmt: skip
    spec = RunSpec(recipe="vae", config={})
    (folder / "spec.json").write_text(json.dumps(vars(spec)), encoding="utf-8")
    return f"run:{name}"


def latent(**query: str) -> AppTest:
    return open_page("latent", **query)


def map_data(app: AppTest) -> dict[str, Any]:
    """What the map was given."""
    return next(
        data for each in app.get("bidi_component") if "axis" in (data := json.loads(each.proto.json))
    )  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_filled_without_any_data_set(view: str) -> None:
    app = latent(latent_view=view)
    assert not app.error
    assert not app.exception
    assert "What you see" in text_of(app)
    if view not in ("Two runs", "Rate and distortion"):
        assert "not on this machine" in text_of(app)  # and where the pictures come from instead
        assert any("core data get mnist" in each.value for each in app.code)


def test_the_map_is_of_the_model_and_its_points_are_coloured_by_class() -> None:
    save_toy({"test": 60})
    name = save_run("two", tiny(image_size=8, channels=3, latent_dim=2))
    app = latent(vae=name, latent_set="data:toy/test/60/0")
    data = map_data(app)
    assert data["shape"] == [grid_side(192), 8, 8, 3]
    assert (data["count"], data["legend"]) == (60, ["dark", "red"])
    assert "of 60 pictures have neighbours of their own class" in text_of(app)
    assert "Decoded exactly" in text_of(app)
    app = latent(vae=name, latent_set="data:toy/test/60/0", at="1.500,-0.250")
    assert map_data(app)["pinned"] == [1.5, -0.25]
    assert "z0 = 1.50, z1 = -0.25" in text_of(app)


def rows_data(app: AppTest) -> dict[str, Any]:
    """What the rows of a walk were given."""
    return next(data for each in app.get("bidi_component") if "extent" in (data := json.loads(each.proto.json)))


def test_a_latent_that_was_turned_stays_in_rows_film_export_and_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_exports(monkeypatch)
    save_toy({"test": 24})
    name = save_run("rows", tiny(image_size=8, channels=3, latent_dim=4))
    query = {"vae": name, "latent_set": "data:toy/test/24/0", "latent_view": "Walks"}
    plain = latent(**query)
    data, rested = rows_data(plain), exported(plain).arrays
    assert data["shape"] == [4, row_steps(4, 192), 8, 8, 3]
    assert sorted(data["names"]) == ["z0", "z1", "z2", "z3"]
    app = latent(**query, latent_turned="1:2.50,3:-1.00,9:1,2:nan,x")
    turned, export = rows_data(app), exported(app)
    assert [turned["at"][turned["dimensions"].index(each)] for each in (1, 3)] == [2.5, -1.0]
    untouched = [data["dimensions"].index(each) for each in (0, 2)]
    assert [turned["at"][each] for each in untouched] == [data["at"][each] for each in untouched]
    assert "with z1 = 2.50, z3 = -1.00 to" in text_of(app)
    assert export.facts["turned"] == {1: 2.5, 3: -1.0}
    assert export.arrays["latents_linear"][0, 1] == 2.5
    assert not np.array_equal(export.arrays["traversal"], rested["traversal"])
    assert run_recipe(export.recipe, capsys)
    app.button(key="walk_back").click().run()
    assert rows_data(app)["at"] == data["at"]
    app = latent(**query, latent_turned="1:2.50")
    app.selectbox(key="walk_from").set_value("3").run()
    assert "with z1" not in text_of(app)  # another picture is not turned


@pytest.mark.parametrize(
    "told", [None, 3, [1], [9, 1.0], [True, 1.0], [1, "2"], [1, float("nan")], [1, 1e9], [1.0, 1.0]]
)
def test_what_is_no_turn_of_a_latent_is_ignored(told: object) -> None:
    assert read_kept(told, (0, 1, 2)) is None


def test_turns_are_read_and_rows_are_sent_as_finely_as_there_is_room() -> None:
    assert read_kept([2, -1.23456, 17], (2, 0)) == (2, -1.23)
    assert row_steps(10, 784) == 65
    assert row_steps(10, 3 * 64 * 64) == 9


def test_more_latents_are_mapped_by_two_of_them_and_one_is_a_sentence() -> None:
    app = latent(vae=save_run("three"))
    data = map_data(app)
    assert "All other 1 latents stay at 0" in text_of(app)
    first, second = data["dimensions"]
    assert first != second
    app = latent(vae=save_run("one", tiny(image_size=8, channels=3, latent_dim=1)))
    assert any("A map needs two latents, and this VAE has 1" in each.value for each in app.error)
    assert not app.exception


@pytest.mark.parametrize("latents", [1, 256])
@pytest.mark.parametrize("view", VIEWS[1:])
def test_few_and_many_latents(latents: int, view: str) -> None:
    name = save_run("many", tiny(image_size=8, channels=3, latent_dim=latents))
    app = latent(vae=name, vae_a=name, vae_b=name, latent_view=view)
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize(
    "query",
    [
        {"at": "nan,1e999"}, {"at": "x"}, {"latent_set": "data:no/such/1/1"}, {"latent_set": "own:999999/0"},
        {"latent_view": "no such view"}, {"vae": "vit_p4"}, {"vae": "run:../../etc"}, {"latent_layout": "🙈"},
        {"latent_view": "Walks", "walk_from": "99", "latent_turned": "a:b,,1e999:2"},
        {"latent_view": "Latents", "delta": "1e9"},
        {"latent_view": "Rate and distortion", "rate_of": "nothing"}, {"latent_view": "Samples", "sample_seed": "-5"},
        {"latent_view": "Two runs", "vae_a": "cnn_small", "vae_b": "gone"},
    ],
)  # fmt: skip
def test_an_address_that_makes_no_sense_shows_the_page_all_the_same(query: dict[str, str]) -> None:
    app = latent(**query)
    assert not app.exception
    assert "What you see" in text_of(app)


def test_a_model_of_another_family_is_refused_with_the_reason_here_and_a_vae_elsewhere() -> None:
    app = latent(vae="vit_p4")
    assert any("no latent space to draw from" in each.value for each in app.error)
    app = open_page("attention", model="vae_2d")
    assert any("no attention layers" in each.value for each in app.error)
    for stem in ("attention", "masking"):
        options = open_page(stem).selectbox(key="model_choice").options
        assert not [each for each in options if each.startswith("VAE")], stem


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    uploader = app.get("file_uploader")[0]
    uploader.set_value([(name, data, "image/png") for name, data in files])  # type: ignore[attr-defined]
    app.run()
    assert not app.exception
    return app


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("RGB", (28, 28), (200, 10, 10)), "it was in colour and became grey"),
        (Image.fromarray(np.full((28, 28), 30_000, np.uint16)), "16 bits a pixel"),
        (Image.new("L", (300, 200), 90), "cut square, it went from 300 × 200 to 28 × 28"),
    ],
)
def test_uploads_that_do_not_fit_are_made_to_and_it_is_said(image: Image.Image, said: str) -> None:
    app = upload(latent(latent_view="Reconstructions"), ("mine.png", png(image)))
    assert said in text_of(app)
    assert app.dataframe[0].value["picture"].tolist()[0] == "mine.png"


def test_uploads_are_there_in_the_next_session_of_the_same_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 28), dtype=np.uint8))
    monkeypatch.setattr("pages.latent.given.browser_secret", lambda: "d" * 32)
    app = upload(latent(latent_view="Reconstructions"), ("mine.png", png(grey)))
    before = app.session_state["latent_uploads"]
    later = latent(latent_view="Reconstructions")
    assert not later.exception
    [(key, (title, size, mode, image))] = later.session_state["latent_uploads"].items()
    assert (key, title, size, mode) == (*before.keys(), "mine.png", (28, 40), "L")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(before[key][3]))
    later.button(key="latent_forget").click().run()
    assert not latent(latent_view="Reconstructions").session_state["latent_uploads"]


def test_nonsense_uploads_cost_a_sentence_each() -> None:
    app = latent(latent_view="Reconstructions")
    upload(app, ("words.png", b"no pixels here"), ("good.png", png(Image.new("L", (28, 28)))), ("empty.png", b""))
    assert any("words.png" in each.value for each in app.error)
    assert any("empty.png" in each.value for each in app.error)
    assert "good.png" in app.dataframe[0].value["picture"].tolist()


def drawn(level: int) -> str:
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[10:40, 25:32] = level
    return base64.b64encode(drawing.tobytes()).decode()


def test_a_drawing_joins_the_others_and_an_empty_one_is_a_sentence() -> None:
    app = latent(latent_view="Reconstructions")
    assert "The canvas is empty" in text_of(app)
    app.session_state["latent_canvas_kept"] = drawn(255)
    app.run()
    assert app.dataframe[0].value["picture"].tolist()[0] == "your drawing"
    app.session_state["latent_canvas_kept"] = drawn(3)
    app.run()
    assert any("The drawing is empty" in each.value for each in app.error)
    assert "your drawing" not in app.dataframe[0].value["picture"].tolist()


@pytest.mark.parametrize("told", [None, 3, "", "x" * 10, "!" * 4184, [1], {}])
def test_what_is_no_drawing_and_no_place_is_ignored(told: object) -> None:
    assert read_drawing(told) is None
    assert read_place(told) is None


def test_places_and_drawings_are_read() -> None:
    assert read_place([1, -0.5, 17]) == (1.0, -0.5)
    assert read_place(["1", 2]) is None
    assert read_place([float("nan"), 0]) is None
    found = read_drawing(drawn(9))
    assert found is not None
    assert found.shape == (SIDE, SIDE)
    assert int(found.sum()) == 30 * 7 * 9


def test_one_picture_is_enough_and_says_what_cannot_be_said_of_it() -> None:
    save_toy({"test": 1})
    name = save_run("three")
    app = latent(vae=name, latent_set="data:toy/test/1/0", latent_view="Latents")
    assert "Of one picture nothing varies" in text_of(app)
    for view in ("Map", "Reconstructions", "Walks", "Samples"):
        app = latent(vae=name, latent_set="data:toy/test/1/0", latent_view=view)
        assert not app.exception, view
        assert not app.error, (view, [each.value for each in app.error])


def test_the_sentence_between_two_runs_is_made_of_their_numbers() -> None:
    app = latent(latent_view="Two runs")
    text = text_of(app)
    assert "With a linear warm-up over 10 epochs and free bits of 0.05 nats" in text
    assert "instead of 9 of 20" in text
    app.select_slider(key="delta_runs").set_value(0.2).run()
    assert not app.exception
    assert "8 of 20 latents are active instead of 9 of 20" in text_of(app)


def test_the_measurement_over_seeds_stands_beside_the_published_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(half: float, kl: float, active: int) -> dict[str, Any]:
        return {"test_half_squared_error": half, "test_kl": kl, "test_elbo": -740.0, "test_active_units": active}

    result = {
        "dataset": "MNIST", "split": "test, read once at the end", "count": 10_000,
        "summary": {"vae_collapsed": {}, "vae_warmup": {}},
        "runs": {"vae_collapsed": [run(11.25, 7.5, 9), run(12.5, 8, 8)], "vae_warmup": [run(11, 7.5, 20)] * 2},
    }  # fmt: skip
    (tmp_path / "vae_collapse.json").write_text(json.dumps(result), encoding="utf-8")
    (tmp_path / "vae_collapse_damaged.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(words, "RESULTS", tmp_path)
    app = latent(latent_view="Two runs")
    table = app.dataframe[-1].value.set_index("")
    assert "the levels are not to be compared" in text_of(app)
    assert "--dataset fashion_mnist" in text_of(app)
    total = table.loc[words.QUANTITIES["sum"]]
    assert total["vae_collapsed"] == "19.62 ± 1.24 (18.75 to 20.50)"
    assert total["published, plain"] == "22.86"
    active = table.loc[words.QUANTITIES["test_active_units"]]
    assert active["vae_collapsed"] == "8.5 ± 0.71 (8 to 9)"
    assert (active["published, plain"], active["published, mitigated"]) == ("6", "20")
    assert "2 trainings of each on MNIST" in text_of(app)
    fashion = {**result, "dataset": "Fashion-MNIST"}
    (tmp_path / "vae_collapse_fashion_mnist.json").write_text(json.dumps(fashion), encoding="utf-8")
    app = latent(latent_view="Two runs")
    assert "2 trainings of each on Fashion-MNIST" in text_of(app)
    assert "of the same data set" in text_of(app)
    assert "--dataset fashion_mnist" not in text_of(app)


def test_finished_runs_are_points_and_nats_compare_among_their_kind() -> None:
    names = [save_run(f"beta{number}", beta=float(number)) for number in (1, 4)]
    app = latent(latent_view="Rate and distortion")
    app.multiselect(key="rate_models").set_value(names).run()
    assert not app.exception
    assert app.dataframe[0].value["β"].tolist() == [1.0, 4.0]
    assert "along a dotted line the ELBO is the same" in text_of(app)
    app.multiselect(key="rate_models").set_value([*names, "vae_bernoulli"]).run()
    assert "nats of distortion do not compare" in text_of(app)
    app.multiselect(key="rate_models").set_value([]).run()
    assert "Choose at least one model" in text_of(app)


def test_a_run_that_was_never_measured_is_a_sentence() -> None:
    name = save_run("bare", latent_kl=None)
    folder = runs_root() / "bare" / "model" / "card.json"
    card = json.loads(folder.read_text(encoding="utf-8"))
    card["metrics"] = {}
    folder.write_text(json.dumps(card), encoding="utf-8")
    app = latent(latent_view="Two runs", vae_a=name)
    assert any("says nothing about latents" in each.value for each in app.error)
    app = latent(vae=name)
    assert not app.error
    assert "Its card has no measurement" in text_of(app)


SHARED = {
    "own_*": "a form that adds a model",
    "latent_set*": "the picker of the set, whose choice is an address",
    "latent_view": "another view is another export",
    "latent_upload": "files",
    "latent-import*": "gets a data set",
    "export": "the menu itself",
    "vae_choice": "toy pages have the one model that the test made",
    "latent_invert": "of uploads, and there are none",
}


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_every_control_reaches_the_export_and_its_recipe_runs(
    view: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_exports(monkeypatch)
    save_toy({"test": 24})
    first = save_run("first", tiny(image_size=8, channels=3, latent_dim=4))
    second = save_run("second", tiny(1, image_size=8, channels=3, latent_dim=4), beta=2.0)
    query = {
        "vae": first, "vae_a": first, "vae_b": second, "latent_set": "data:toy/test/24/0", "latent_view": view,
        "rate_of": first, "sample_count": "16",
    }  # fmt: skip
    changed = check_controls(
        lambda: latent(**query),
        excused=SHARED,
        values={"rate_models": [second], "vae_a_choice": ("index", 0), "delta": 0.5, "delta_runs": 0.5},
    )
    assert changed or view in ("Walks",)
    export = exported(latent(**query))
    assert run_recipe(export.recipe, capsys)


def test_the_configuration_fits_what_pages_read() -> None:
    assert VAEConfig().shape == (1, 28, 28)
    assert grid_side(784) == 41
    assert grid_side(3 * 128 * 128) == 9


def test_latents_open_in_embeddings() -> None:
    save_toy({"test": 40})
    name = save_run("plane")
    app = open_page("embeddings", encoder=name, set="data:toy/test/40/0", plane_method="PCA")
    assert not app.error
    assert not app.exception
    assert "neighbours" in text_of(app) or "nearest" in text_of(app)
    grey = save_run("grey", tiny(image_size=8, latent_dim=2))
    app = open_page("embeddings", encoder=grey, set="data:toy/test/40/0", plane_method="PCA")
    assert not app.error
    assert not app.exception
