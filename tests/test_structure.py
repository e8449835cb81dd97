"""The script that counts: on a house of four files whose arrows are known, and on this one."""

from __future__ import annotations

from pathlib import Path

from tests.structure import report, structure

FILES = {
    "core/errors.py": "",
    "core/data/arrays.py": "from core.errors import X\n",
    "core/models/vit.py": "import core.data.arrays\nfrom core.models import small\n",
    "core/models/small.py": "def f():\n    from core.models.vit import Y\n    from core.launch.queue import Z\n",
    "core/launch/queue.py": "from core.errors import X\n",
    "pages/clip/page.py": "import os\nfrom core.models.vit import ViT\n\n",
}


def test_lines_circles_and_arrows_are_counted(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = structure(tmp_path)
    assert found.sizes["core/models"] == (2, 5)
    assert found.sizes["pages/clip"] == (1, 3)
    assert found.circles == [{"core.models.vit", "core.models.small"}]
    assert found.arrows == {
        ("core/data", "core"): 1,
        ("core/models", "core/data"): 1,
        ("core/models", "core/launch"): 1,
        ("core/launch", "core"): 1,
        ("pages/clip", "core/models"): 1,
    }
    assert (found.up, found.down) == (1, 4)
    said = "\n".join(report(found))
    assert "largest folder: core/models" in said
    assert "up: core/models -> core/launch, 1" in said


def test_this_checkout_has_no_circle() -> None:
    assert structure().circles == []
