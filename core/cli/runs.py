"""Runs: looking at them, stopping, resuming, cloning and removing."""

from __future__ import annotations

import time
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Training runs on this machine.")


@app.command("list")
def show_runs() -> None:
    """Every run: status, progress, time left, accuracy; looking also moves the queue on."""
    from core.launch.queue import advance
    from core.reports import as_duration
    from core.runs.status import eta_seconds, read_state, status_word
    from core.runs.store import list_runs

    advance()
    for run in list_runs():
        state, history = read_state(run), run.history()
        done = f"{state.step}/{state.steps} steps" if state.steps else ""
        left = eta_seconds(run)
        measured = (line.get("val_accuracy") for line in reversed(history))
        accuracy = next((each for each in measured if each is not None), None)
        said = [
            f"{run.name:32} {status_word(run, state):12} {done:20}",
            f"{as_duration(left) + ' left' if left is not None else '':18}",
            f"val {accuracy:.1%}" if accuracy is not None else "",
            state.cause,
        ]
        typer.echo(" ".join(said).rstrip())


@app.command("show")
def show_run(name: str) -> None:
    """The state of a run and its metrics, one line an epoch."""
    import json
    from dataclasses import asdict

    from core.runs.status import read_state, status_word
    from core.runs.store import find_run

    folder = find_run(name)
    state = read_state(folder)
    for key, value in (asdict(state) | {"status": status_word(folder, state)}).items():
        if value not in ("", None):
            typer.echo(f"{key}: {value}")
    typer.echo(folder.read_spec().command(name))
    for line in folder.history():
        typer.echo(json.dumps(line))


@app.command("stop")
def stop_run(
    name: str, force: Annotated[bool, typer.Option(help="End its process if it does not react in time.")] = False
) -> None:
    """Ask a run to save its checkpoint and stop."""
    from core.launch.control import request_stop
    from core.runs.store import find_run

    request_stop(find_run(name), force=force)
    typer.echo(f"{name} was asked to stop. It continues with: python -m core runs resume {name}")


@app.command("resume")
def resume_run(name: str) -> None:
    """Queue a run that ended early; it continues from its checkpoint."""
    from core.launch.control import resume
    from core.runs.store import find_run

    resume(find_run(name))
    typer.echo(f"{name} is queued.")


@app.command("clone")
def clone_run(
    name: str,
    new: Annotated[str, typer.Argument(help="Name of the new run.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
) -> None:
    """Queue a new run with the settings of another, changed where --set says so."""
    from core.launch.control import clone
    from core.launch.queue import submit
    from core.runs.store import find_run

    submit(clone(find_run(name), new, settings or []))
    typer.echo(f"{new} is queued.")


@app.command("delete")
def delete_run(name: str, yes: Annotated[bool, typer.Option(help="Do not ask.")] = False) -> None:
    """Remove a run with its model, metrics and checkpoints."""
    from core.launch.control import delete
    from core.runs.store import find_run

    folder = find_run(name)
    if not yes:
        typer.confirm(f"Delete {folder.path}?", abort=True)
    delete(folder)


@app.command("log")
def show_log(
    name: str, follow: Annotated[bool, typer.Option(help="Go on until the run ends; Ctrl-C ends only this.")] = False
) -> None:
    """What the run's process printed."""
    from core.runs.status import TERMINAL, read_state
    from core.runs.store import find_run

    folder, shown = find_run(name), 0
    while True:
        ended = not follow or read_state(folder).status in TERMINAL
        if folder.log.is_file():
            text = folder.log.read_bytes()[shown:]
            shown += len(text)
            typer.echo(text.decode(errors="replace"), nl=False)
        if ended:
            break
        time.sleep(1)
