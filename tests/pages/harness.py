"""Pages through Streamlit's own test harness, opened as a browser opens them: at their own address, first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.paths import CHECKOUT

Result = TypeVar("Result")
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


def while_clicked_again(app: AppTest, key: str, act: Callable[..., Result]) -> Callable[..., Result]:
    """`act`, in the middle of which the same button is clicked a second time, as impatient people do.

    Streamlit ends the run of the script at the next thing that it draws or remembers, and begins another.
    """
    button = app.button(key=key).proto.id
    calls = 0

    def acting(*arguments: Any) -> Result:
        nonlocal calls
        calls += 1
        result = act(*arguments)
        if calls == 1:
            context = get_script_run_ctx()
            assert context is not None
            assert context.script_requests is not None
            states = WidgetStates(widgets=[WidgetState(id=button, trigger_value=True)])
            again = RerunData(widget_states=states, page_script_hash=context.page_script_hash)
            assert context.script_requests.request_rerun(again)
        return result

    return acting
