"""Keeping the libraries' own progress bars and notes out of what a command prints."""

from __future__ import annotations

import logging
import os
import warnings

SWITCHES = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
}


def keep_libraries_quiet() -> None:
    """Say before anything heavy is imported that libraries show no bars, notes or warnings.

    Errors stay, and whoever sets one of the variables or `PYTHONWARNINGS` gets what they ask for. The libraries read
    the variables when they are imported, so that this costs nothing.
    """
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    if "PYTHONWARNINGS" not in os.environ:
        warnings.simplefilter("ignore")
    # A root handler that a library installs would print what others only noted.
    logging.getLogger().setLevel(logging.ERROR)
