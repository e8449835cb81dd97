"""Any order of submitting, stopping, killing, resuming and looking ends in a state that agrees with the processes.

Processes are imagined, so that thousands of orders can be tried; `test_processes.py` has real ones.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from core.errors import CoreError
from core.experiments.catalogue import RECIPES
from core.launch import control, queue
from core.launch.launcher import LocalLauncher
from core.runs import owner
from core.runs.owner import Owner, read_owner, this_host, write_owner
from core.runs.status import RESUMABLE, TERMINAL, read_state, stored_state, write_state
from core.runs.store import RunFolder, list_runs
from tests.examples import examples
from tests.runs import counting
from tests.runs.conftest import make_run

NO_SUCH_PID = 2**30


class Runs(RuleBasedStateMachine):
    """The runs of one machine with two devices."""

    runs = Bundle("runs")

    @initialize()
    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.home = tempfile.TemporaryDirectory()
        self.patch.setenv("VITRINE_HOME", self.home.name)
        self.patch.setitem(RECIPES, "counting", counting.RECIPE)
        self.patch.setattr(queue, "devices", lambda: ("mps", "cpu"))
        self.births: dict[int, str] = {}
        self.made = self.started = 0
        self.patch.setattr(owner, "birth_of", lambda pid: self.births.get(pid, ""))
        self.patch.setattr(LocalLauncher, "submit", lambda _, folder, devices: self.launch(folder))
        self.patch.setattr(LocalLauncher, "cancel", lambda _, folder, grace_s: self.kill(folder))

    def launch(self, folder: RunFolder) -> None:
        self.started += 1
        pid = NO_SUCH_PID + self.started % 3  # numbers are used again
        while pid in self.births:
            pid += 1
        self.births[pid] = f"birth {self.started}"
        write_owner(folder, Owner(pid=pid, birth=self.births[pid], host=this_host()))

    def kill(self, folder: RunFolder) -> None:
        if self.lives(folder):
            del self.births[read_owner(folder).pid]  # type: ignore[union-attr]

    def lives(self, folder: RunFolder) -> bool:
        who = read_owner(folder)
        return who is not None and self.births.get(who.pid) == who.birth

    def end(self, folder: RunFolder, status: Any, **why: str) -> None:
        """As a worker ends: its state, its process, then the queue."""
        now = time.time()
        write_state(folder, replace(stored_state(folder), status=status, ended=now, **why))
        self.kill(folder)
        queue.advance()

    @staticmethod
    def attempt(action: Callable[[], Any], *, allowed: bool) -> None:
        """Do it if that is allowed; else it has to refuse with a sentence."""
        if allowed:
            action()
        else:
            with pytest.raises(CoreError, match="The run"):
                action()

    @rule(target=runs, device=st.sampled_from(["cpu", "mps", "auto"]))
    def submit(self, device: str) -> Any:
        if self.made == 6:
            return multiple()
        self.made += 1
        run = make_run(f"run{self.made}", spec={"device": device})
        queue.submit(run)
        assert read_state(run).status in ("queued", "running")
        return run

    @rule(target=runs, run=runs)
    def clone(self, run: RunFolder) -> Any:
        if self.made == 6:
            return multiple()
        self.made += 1
        cloned = control.clone(run, f"run{self.made}", ["steps=3"])
        assert read_state(cloned).status == "interrupted"
        return cloned

    @rule(run=runs)
    def work(self, run: RunFolder) -> None:
        if not self.lives(run):
            return
        if run.stop.exists():
            self.end(run, "stopped")
        else:
            state = stored_state(run)
            write_state(run, replace(state, step=state.step + 1, heartbeat=time.time()))

    @rule(run=runs, fails=st.booleans())
    def finish(self, run: RunFolder, fails: bool) -> None:
        if self.lives(run):
            self.end(run, *(["failed"] if fails else ["finished"]), cause="c" * fails, remedy="r" * fails)

    @rule(run=runs)
    def crash(self, run: RunFolder) -> None:
        self.kill(run)

    @rule(run=runs)
    def damage(self, run: RunFolder) -> None:
        if not self.lives(run):
            run.state.write_text('{"status": "run', encoding="utf-8")

    @rule(run=runs, force=st.booleans())
    def stop(self, run: RunFolder, force: bool) -> None:
        before = read_state(run).status
        self.attempt(lambda: control.request_stop(run, force=force, grace_s=0), allowed=before in ("queued", "running"))
        after = read_state(run).status
        if before == "queued" or (before == "running" and force):
            assert after == "stopped"
        elif before == "running":
            assert run.stop.exists()

    @rule(run=runs)
    def resume(self, run: RunFolder) -> None:
        allowed = read_state(run).status in RESUMABLE
        self.attempt(lambda: control.resume(run), allowed=allowed)
        if allowed:
            assert read_state(run).status in ("queued", "running")
            assert not run.stop.exists()

    @rule(run=consumes(runs))
    def delete(self, run: RunFolder) -> None:
        allowed = read_state(run).status in TERMINAL
        self.attempt(lambda: control.delete(run), allowed=allowed)
        if not allowed:
            control.request_stop(run, force=True, grace_s=0)
            control.delete(run)
        assert not run.path.exists()

    @rule()
    def look(self) -> None:
        queue.reconcile()

    @rule()
    def advance(self) -> None:
        queue.advance()
        states = [stored_state(run) for run in list_runs()]
        busy = {state.device for state in states if state.status == "running"}
        waiting = [run for run in list_runs() if stored_state(run).status == "queued"]
        # Nobody waits for a device that is free; "auto" prefers the GPU and waits for it.
        assert not [run for run in waiting if run.read_spec().device.replace("auto", "mps") not in busy]

    @invariant()
    def states_agree_with_processes(self) -> None:
        if not hasattr(self, "births"):
            return
        devices = []
        for run in list_runs():
            state = read_state(run)
            assert (state.status == "running") == self.lives(run)
            if state.status == "running":
                devices.append(state.device)
            if state.status in ("failed", "interrupted"):
                assert state.cause
                assert state.remedy
        assert len(devices) == len(set(devices))
        assert len(devices) == len(self.births)

    def teardown(self) -> None:
        if not hasattr(self, "births"):
            return
        for _ in range(10):
            queue.advance()
            for run in list_runs():
                self.finish(run, fails=False)
        assert all(read_state(run).status in TERMINAL for run in list_runs())
        self.patch.undo()
        self.home.cleanup()


TestAnyOrder = Runs.TestCase
TestAnyOrder.settings = examples(40, stateful_step_count=30, suppress_health_check=list(HealthCheck))
