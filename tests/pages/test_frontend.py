"""What is made ready for other pages is there in the Streamlit that is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit

from pages.shared.frontend import CHARTS, USED, scripts_of

KINDS = [kind for group in USED for kind in group]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_one_script_of_the_frontend(kind: str) -> None:
    (name,) = scripts_of(kind)
    assert (Path(streamlit.__file__).parent / "static" / "static" / "js" / name).is_file()


def test_order_is_kept_and_what_another_streamlit_lacks_is_left_out() -> None:
    assert [name.split(".")[0] for name in scripts_of(CHARTS, "NoSuchElement", "DataFrame")] == [CHARTS, "DataFrame"]
