"""Results in a notebook: every one that says it draws itself does, without a network and with its own numbers."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.figures import notebook
from core.methods.anatomy.parts import Anatomy, Comparison, CountPair, Part
from core.methods.anatomy.positional import DistanceProfile, PositionalSimilarity
from core.methods.attention.attention import AttentionMaps
from core.methods.clip.conditions import ConditionAccuracy, ConditionResult
from core.methods.clip.disagreements import Disagreements
from core.methods.clip.image_text_relevance import ImageTextRelevance
from core.methods.clip.zero_shot import ZeroShotScores
from core.methods.diffusion.denoising_view import DenoisingView
from core.methods.diffusion.elimination_cost import BudgetCurve
from core.methods.masking.faithfulness import Faithfulness, FaithfulnessCurves, RandomBaseline
from core.methods.masking.orders import MaskingCurve
from core.notebook import Drawn
from core.paths import CHECKOUT
from tests.figures.test_diffusion_classifier import classification

SHARES = np.linspace(0, 1, 3)
FALLING = np.array([0.875, 0.5, 0.125])


def _picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _part(layer: int, role: str, parameters: int) -> Part:
    path = f"blocks.{layer}.{role}"
    return Part(
        path=path, part=role, layer=layer, role=role, inner_role=role, tower="vision", shape=(parameters,),
        parameters=parameters,
    )  # fmt: skip


RESULTS: list[Drawn] = [
    Anatomy(rows=(_part(0, "attention", 3_000_000), _part(0, "MLP", 4_000_000)), facts={}),
    Comparison(differences=(), roles=(CountPair(layer=None, role="MLP", first=1, second=2),), rows=()),
    DistanceProfile(
        distances=np.array([0.0, 1.0]), similarity=np.array([1.0, 0.25]), pairs=np.array([4, 8]),
        along_row=np.array([1.0, 0.25]), along_column=np.array([1.0, 0.125]),
    ),
    PositionalSimilarity(matrix=np.eye(4), tiles=np.eye(4).reshape(2, 2, 2, 2), grid=(2, 2), measure="cosine"),
    AttentionMaps(
        weights=np.full((2, 3, 5, 5), 0.2, dtype=np.float32), grid=(2, 2), prefix_tokens=1, pooling="class_token",
        signed=False, logits=None,
    ),
    ConditionResult(
        rows=(
            ConditionAccuracy(
                condition="blur <b>", correct=3, count=4, interval=(0.3, 0.95), compared=0, difference=(0.0, 0.0, 0.0)
            ),
        ),
        categories=("cat",), table=np.array([[[3, 4]]]), chance=0.5,
    ),
    Disagreements(verdicts=(), top=1, difference=(0.0, 0.0, 0.0)),
    ImageTextRelevance(
        score=1.0, patches=np.ones((2, 2), np.float32), words=("<cat>",), word_relevance=np.ones(1, np.float32)
    ),
    ZeroShotScores(
        labels=("cat", "dog"), cosines=np.array([[0.3, 0.2]]), logits=np.array([[3.0, 2.0]]),
        probabilities=np.array([[0.75, 0.25]]), kind="softmax",
    ),
    DenoisingView(
        time_step=1, signal=0.5, original=_picture(8, 8, 3), noised=_picture(8, 8, 3), noise=_picture(4, 4, 3),
        predicted=_picture(2, 4, 4, 3), reconstructed=_picture(2, 8, 8, 3), error=np.ones((2, 4, 4)),
    ),
    classification(3),
    BudgetCurve(calls=np.array([1, 2]), spent=np.array([1.0, 2.0]), correct=np.array([3, 5]), images=8),
    Faithfulness(
        shares=SHARES,
        methods={
            "rollout": FaithfulnessCurves(
                deletion=FALLING, insertion=FALLING[::-1], deletion_area=0.5, insertion_area=0.5
            )
        },
        random=RandomBaseline(
            deletion=FALLING[None], insertion=FALLING[None], deletion_areas=np.array([0.5]),
            insertion_areas=np.array([0.5]), seeds=(0,),
        ),
        grid=(2, 2), fill="mean",
    ),
    MaskingCurve(shares=SHARES, confidence=FALLING, top_class=None, top_probability=None),
]  # fmt: skip


def test_every_result_that_draws_itself_is_tested_here() -> None:
    for path in sorted((CHECKOUT / "core" / "methods").rglob("*.py")):
        importlib.import_module(".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__"))
    known = set(notebook.draw.registry) - {object}
    assert known == set(Drawn.__subclasses__()) == {type(result) for result in RESULTS}


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_result_is_html_that_fetches_nothing(result: Drawn) -> None:
    html = result._repr_html_()
    assert re.search(r"Plotly\.newPlot|<img src='data:image/webp;base64,|<span ", html)
    without_script = html.split("</script>", 1)[1] if "plotly.js v" in html else html
    assert not re.findall(r"(?:src|href)=['\"]?(?:https?:)?//", without_script)
    assert "<cat>" not in without_script
    assert "blur <b>" not in without_script


def test_the_numbers_of_the_figure_are_the_result() -> None:
    html = MaskingCurve(shares=SHARES, confidence=FALLING, top_class=None, top_probability=None)._repr_html_()
    data = json.loads(re.search(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*(\[.*?\])\s*,\s*\{", html, re.S).group(1))
    import base64

    values = np.frombuffer(base64.b64decode(data[0]["y"]["bdata"]), dtype=data[0]["y"]["dtype"])
    assert values.tolist() == [0.875, 0.5, 0.125]


def test_only_the_first_figure_carries_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "_library_sent", False)
    first, second = (RESULTS[0]._repr_html_() for _ in range(2))
    assert len(first) > 1_000_000 > 100_000 > len(second)
    assert "Plotly.newPlot" in second


@pytest.mark.slow
def test_computing_needs_no_plotly(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['plotly'] = None\n"
        "import core.methods.masking.masking, core.methods.clip.zero_shot, core.notebook\n"
        "assert 'core.figures.notebook' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
