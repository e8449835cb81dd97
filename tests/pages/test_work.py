"""Work of the pages: watched, said with its seconds, stopped in the middle of anything, and not lost by a rerun."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.reports import OnProgress, silent
from pages.shared import results, work
from pages.shared.cache import in_use, loaded_model
from pages.shared.results import SharedResults, shared
from pages.shared.work import Abandoned, Job, current_job, progress_text, with_progress


@pytest.fixture(autouse=True)
def _stores(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: dict[str, SharedResults] = {}
    monkeypatch.setattr(results, "_stores", lambda: stores)


@contextmanager
def held() -> Iterator[tuple[threading.Event, threading.Event]]:
    """An event that says that work began, and one that it waits for; set at the end, whatever happens."""
    began, go_on = threading.Event(), threading.Event()
    try:
        yield began, go_on
    finally:
        go_on.set()


def test_work_computes_beside_the_script_which_gets_what_it_returns_or_raises() -> None:
    def broken(on_progress: OnProgress) -> int:
        raise ZeroDivisionError("in the work")

    assert with_progress("Working", lambda on_progress: threading.current_thread()) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError, match="in the work"):
        with_progress("Working", broken)


def test_work_within_work_is_a_part_of_it() -> None:
    jobs = []

    @shared("Inner …")
    def inner(number: int, *, on_progress: OnProgress = silent) -> int:
        jobs.append(current_job())
        on_progress(0.9, "nearly")
        return number

    def outer(on_progress: OnProgress) -> int:
        on_progress(0.3, "begun")
        found = inner(7) + with_progress("Another", lambda on_progress: 1)
        job = current_job()
        assert job is not None
        assert (job.share, job.message) == (0.3, "Another")  # a part does not know how much of the whole it is
        jobs.append(job)
        return found

    assert with_progress("Outer", outer) == 8
    assert jobs[0] is jobs[1]
    assert current_job() is None


def test_what_nobody_watches_ends_at_its_next_report(monkeypatch: pytest.MonkeyPatch) -> None:
    with held() as (began, go_on):

        def long(on_progress: OnProgress) -> int:
            began.set()
            go_on.wait(60)
            on_progress(0.5, "half")
            return 7

        kept, left = Job(long), Job(long)
        assert began.wait(60)
        kept.leave()  # the page is drawn anew, and watches again
        assert kept.watch()
        left.leave()
        left.drop()
        assert not left.watch()
        go_on.set()
        assert kept.wait(60)
        assert kept.result() == 7
        assert left.wait(60)
        with pytest.raises(Abandoned):
            left.result()


def abandoned_while_held(work: Any, began: threading.Event, go_on: threading.Event) -> Job[Any]:
    """A job that nobody watches any more while it holds, gone on with to its end."""
    job: Job[Any] = Job(work)
    assert began.wait(60)
    job.leave()
    job.drop()
    go_on.set()
    assert job.wait(60)
    return job


def test_what_reports_nothing_ends_at_the_next_pass_of_its_model() -> None:
    """Twelve passes of a method that knows nothing of progress: it stops after the first."""
    passes = []
    with held() as (began, go_on):

        def explain(on_progress: OnProgress) -> None:
            with in_use("cnn_small") as model:
                side = model.network.preprocessing.size
                for number in range(12):
                    model.module(torch.zeros(1, 3, side, side))
                    passes.append(number)
                    began.set()
                    go_on.wait(60)

        loaded_model("cnn_small")
        job = abandoned_while_held(explain, began, go_on)
    assert passes == [0]
    with pytest.raises(Abandoned):
        job.result()


def test_a_way_around_the_pass_of_a_model_is_heard_within_its_blocks() -> None:
    """Embeddings and traces never call the whole network, and what is asked so went on for seconds."""
    with held() as (began, go_on):
        blocks = []

        def explain(on_progress: OnProgress) -> None:
            with in_use("vit_p4") as model:
                hook = model.module.blocks[-1].register_forward_hook(lambda *_: blocks.append("last"))
                try:
                    began.set()
                    go_on.wait(60)
                    model.module.embed(torch.zeros(1, 3, 32, 32))
                finally:
                    hook.remove()

        loaded_model("vit_p4")
        job = abandoned_while_held(explain, began, go_on)
    assert blocks == []
    with pytest.raises(Abandoned):
        job.result()


def test_a_session_that_asks_the_same_watches_the_same_work() -> None:
    with held() as (began, go_on):

        @shared("Working …")
        def slow(number: int, *, on_progress: OnProgress = silent) -> int:
            on_progress(0.25, "a quarter")
            began.set()
            go_on.wait(60)
            on_progress(0.5, "half")
            return number

        found: list[int] = []
        first, second = (threading.Thread(target=lambda: found.append(slow(7))) for _ in range(2))
        first.start()
        assert began.wait(60)
        job = next(iter(slow.results.jobs.values()))
        assert (job.share, job.message) == (0.25, "a quarter")
        second.start()
        go_on.set()
        first.join(60)
        second.join(60)
    assert found == [7, 7]


def test_a_bar_says_for_how_long() -> None:
    with held() as (_, go_on):
        job = Job(lambda on_progress: go_on.wait(60))
        assert progress_text("Reading", job) == "Reading …"
        job.began -= 12
        assert progress_text("Reading", job) == "Reading … 12 s"
        job.share, job.message = 0.25, "image 3 of 12"
        assert progress_text("Reading", job) == "Reading: image 3 of 12 … 12 s, about 36 s left"
        job.message = "Reading image 3"
        assert progress_text("Reading", job) == "Reading image 3 … 12 s, about 36 s left"


def app() -> None:
    import streamlit as st

    from pages.shared.errors import PageEnd, Stopped, guard
    from tests.pages.test_work import waits

    try:
        with guard():
            st.text(f"found {waits(1)}")
        st.text("the rest")
        st.text(f"found {waits(1)} again")
        st.text("not reached")
    except (PageEnd, Stopped):
        st.text("the end")


gates: dict[str, threading.Event] = {}


@shared("Waiting for the gate …")
def waits(number: int) -> int:
    """Reports nothing, as a fit of scikit-learn would."""
    gates["began"].set()
    gates["go on"].wait(60)
    return number


def test_what_was_stopped_stays_so_until_somebody_goes_on() -> None:
    """Where nobody expects it, it ends the page without an error; `guard` goes on after its block."""
    with held() as (began, go_on):
        gates.update({"began": began, "go on": go_on})
        page = AppTest.from_function(app, default_timeout=60)
        page.session_state["stopped_work"] = {waits.token(waits.key(1))}
        page.run()
        assert [each.value for each in page.info] == ["Stopped: waiting for the gate."] * 2
        assert [each.label for each in page.button] == ["Go on"]
        assert [each.value for each in page.text] == ["the rest", "the end"]
        assert not page.exception
        assert not page.error
        assert not began.is_set()
        go_on.set()
        page.button[0].click().run()
        assert [each.value for each in page.text] == ["found 1", "the rest", "found 1 again", "not reached"]


def test_stop_remembers_what_was_stopped_and_lets_go_of_it() -> None:
    """What the button of the bar calls once Streamlit has abandoned the script."""
    with held() as (began, go_on):
        gates.update({"began": began, "go on": go_on})
        job = waits.results.job(waits.key(2), lambda on_progress: waits.function(2))
        job.leave()

        def stopping(job: object, token: str) -> None:
            from pages.shared import work

            work._stop(token, job)

        page = AppTest.from_function(stopping, args=(job, "a token"), default_timeout=60).run()
        assert not page.exception
        assert page.session_state["stopped_work"] == {"a token"}
        assert not job.watch()
        assert job is not waits.results.job(waits.key(2), lambda on_progress: 2)  # "Go on" begins anew


def test_what_ended_before_it_heard_of_its_stop_stays_stopped_too() -> None:
    """Else the next long computation of the page begins at once, and the click seems to have done nothing."""
    with held() as (began, go_on):
        gates.update({"began": began, "go on": go_on})
        go_on.set()
        page = AppTest.from_function(app, default_timeout=60).run()
        assert [each.value for each in page.text] == ["found 1", "the rest", "found 1 again", "not reached"]
        page.session_state["stopped_work"] = {waits.token(waits.key(1))}
        page.run()
        assert [each.value for each in page.text] == ["the rest", "the end"]
        began.clear()
        page.button[0].click().run()
        assert page.text[0].value == "found 1"
        assert not began.is_set()  # it was there all the time


def asked_anew(waiting: str) -> None:
    """A page for which a click comes while it waits: in its second run it waits no more."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx
    from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

    from pages.shared import work
    from tests.pages.test_work import gates

    st.session_state["runs"] = runs = st.session_state.get("runs", 0) + 1
    if runs == 1:
        context = get_script_run_ctx()
        assert context is not None
        assert context.script_requests is not None
        context.script_requests.request_rerun(RerunData())
        if waiting == "rest":
            work.rest(1e6)
        else:
            work.with_progress("Working", lambda on_progress: gates["go on"].wait(60))
        st.text("waited to the end")
    st.text(f"run {runs}")


@pytest.mark.parametrize("waiting", ["rest", "work"])
def test_a_click_ends_a_script_that_waits_at_once(waiting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "HIDDEN_S", 1e6)  # nothing is drawn meanwhile: at elements Streamlit ends scripts anyhow
    with held() as (_, go_on):
        gates["go on"] = go_on
        page = AppTest.from_function(asked_anew, args=(waiting,), default_timeout=50).run()
        assert not page.exception
        assert [each.value for each in page.text] == ["run 2"]


def test_what_work_imports_is_not_looked_through_for_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit looks after every run of a page, and no other session goes on meanwhile."""
    for number in range(work.PACKAGE):
        (tmp_path / f"vitrine_toy_{number}.py").write_text("lists = [[] for _ in range(10)]", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def looked_at(name: str) -> bool:
        return any(each is sys.modules[name].lists for each in gc.get_objects())

    names = [f"vitrine_toy_{number}" for number in range(work.PACKAGE)]
    try:
        few, many = (lambda on_progress, part=part: [*map(import_module, part)] for part in (names[:1], names[1:]))
        assert Job(few).wait(60)
        assert looked_at(names[0])
        (tmp_path / "vitrine_toy_more.py").write_text("", encoding="utf-8")
        assert Job(lambda on_progress: [many(on_progress), import_module("vitrine_toy_more")]).wait(60)
        assert not looked_at(names[0])
        assert not looked_at(names[-1])
    finally:
        gc.unfreeze()
        for name in (*names, "vitrine_toy_more"):
            sys.modules.pop(name, None)
