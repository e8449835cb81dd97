"""Starting the app."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from core.errors import CoreError
from core.paths import CHECKOUT, FILES


def start_app(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the browser finds it.")] = 8501,
    headless: Annotated[bool, typer.Option(help="Open no browser, as on a server.")] = False,
) -> None:
    """Open the app in the browser; Ctrl-C ends it. What else is said goes to Streamlit: --server.address 0.0.0.0"""
    if find_spec("streamlit") is None:
        raise CoreError("Streamlit, which the app is made with, is not installed.", "pip install streamlit")
    words = ["--server.port", str(port), *(["--server.headless", "true"] if headless else []), *context.args]
    # A process of its own: the library knows no Streamlit, and Streamlit wants the main thread of its process.
    paths = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "streamlit", "run", str(FILES / "app.py"), *words]
    if os.name == "posix":  # in the place of this one, so that whoever ends `vitrine` ends the app
        os.execve(command[0], command, environment)
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:  # the terminal has told Streamlit, too, which ends in its own time
            continue
    raise typer.Exit(max(status, 0))
