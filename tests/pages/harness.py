"""Pages through Streamlit's own test harness, opened as a browser opens them: at their own address, first."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.paths import CHECKOUT

MAIN = CHECKOUT / "pages" / "navigation.py"


def open_page(stem: str, **query: str) -> AppTest:
    """A page after its first run, with this in its address."""
    app = AppTest.from_file(str(MAIN), default_timeout=600)
    if stem != "home":
        # Without a walk over Home, which costs as much as the page. Before the first run the harness knows a page by
        # its file's name alone, and all are called "page"; a session that has been anywhere asks the address no more.
        app._page_hash = calc_hash(stem)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    assert (stem == "home") == any("See inside vision models" in each.value for each in app.markdown)
    return app


def text_of(app: AppTest) -> str:
    """All sentences of a page."""
    return " ".join(element.value for element in [*app.markdown, *app.caption, *app.error, *app.warning, *app.info])
