"""One pinned file from a package index without pip, which `uv venv` and some distributions leave out.

The simple repository API (PEP 503 as HTML, PEP 691 as JSON) is asked at the indices that uv and pip are set to use,
with the user's proxies, certificates and passwords. What arrives is worth nothing until its hash is checked.
"""

from __future__ import annotations

import base64
import configparser
import json
import netrc
import os
import re
import ssl
import sys
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from core.errors import MissingWeightsError, OfflineError

PYPI = "https://pypi.org/simple"
_ANSWER_SECONDS, _CHUNK = 20, 1 << 18
_LARGEST_PAGE = 32 << 20
_JSON = "application/vnd.pypi.simple.v1+json"


def configured_indices() -> tuple[list[str], list[Path]]:
    """Addresses of indices and folders of wheels in the order in which to ask them.

    From uv's and pip's environment variables, then their configuration files; PyPI where none names an index.
    """
    settings = {**_uv_file(), **_pip_file()}

    def said(*names: str) -> str:
        return next((value for name in names if (value := os.environ.get(name, ""))), "")

    extra = [
        part.rpartition("=")[2] if re.match(r"[\w-]+=https?:", part) else part
        for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
        for part in os.environ.get(name, "").split()
    ]
    default = said("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL") or settings.get("index-url", "") or PYPI
    default = default.rpartition("=")[2] if re.match(r"[\w-]+=https?:", default) else default
    links = said("UV_FIND_LINKS", "PIP_FIND_LINKS") or settings.get("find-links", "")
    folders = [Path(part.removeprefix("file://")) for part in re.split(r"[\s,]+", links) if part and "http" not in part]
    closed = said("UV_NO_INDEX", "PIP_NO_INDEX") or settings.get("no-index", "")
    if closed.lower() in ("1", "true", "yes", "on"):
        return [], folders
    return [*extra, *settings.get("extra-index-url", "").split(), default], folders


def download(project: str, file: str, target: Path, *, size: int, on_bytes: Callable[[int, str], None]) -> None:
    """Write `file` of `project` to `target`, from the first index that has it.

    Args:
        size: of the file in bytes; more than that is not read.
        on_bytes: called with the bytes so far and the name of the index; may raise to stop.

    Raises:
        OfflineError: no index answered.
        MissingWeightsError: none of those that did has the file.
    """
    indices, folders = configured_indices()
    for folder in folders:
        if (folder / file).is_file():
            target.write_bytes((folder / file).read_bytes())
            on_bytes(target.stat().st_size, str(folder))
            return
    silent: list[str] = []
    for index in indices:
        host = urllib.parse.urlsplit(index).hostname or index
        try:
            found = _find(index, project, file)
            if found is not None:
                _fetch(found, index, target, size, lambda done, host=host: on_bytes(done, host))  # type: ignore[misc]
                return
        except urllib.error.HTTPError as error:
            silent.append(f"{host} answered {error.code}") if error.code != 404 else None
        except (OSError, ssl.SSLError) as error:
            silent.append(f"{host}: {getattr(error, 'reason', error)}")
    if silent and len(silent) == len(indices):
        raise OfflineError(
            f"{project} could not be downloaded: no package index answered ({'; '.join(silent)}).",
            "Connect to a network that reaches PyPI, or name a mirror in UV_DEFAULT_INDEX or PIP_INDEX_URL.",
        )
    asked = ", ".join([*(urllib.parse.urlsplit(index).hostname or index for index in indices), *map(str, folders)])
    raise MissingWeightsError(
        f"{file} was not found{f' at {asked}' if asked else ''}.",
        "Check UV_DEFAULT_INDEX, PIP_INDEX_URL and pip's configuration.",
    )


def _find(index: str, project: str, file: str) -> str | None:
    """The address of `file` on the project's page."""
    page = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', project).lower()}/"
    with _open(page, index, accept=f"{_JSON}, text/html;q=0.2") as answer:
        kind, base, body = answer.headers.get_content_type(), answer.geturl(), answer.read(_LARGEST_PAGE)
    if kind == _JSON:
        links = [each.get("url", "") for each in json.loads(body).get("files", []) if each.get("filename") == file]
    else:
        parser = _Links()
        parser.feed(body.decode("utf-8", errors="replace"))
        links = [link for link in parser.links if _name(link) == file]
    return urllib.parse.urljoin(base, links[0]) if links else None


def _fetch(address: str, index: str, target: Path, size: int, on_bytes: Callable[[int], None]) -> None:
    done = 0
    with _open(address, index) as answer, target.open("wb") as file:
        while done <= size and (chunk := answer.read(_CHUNK)):
            file.write(chunk)
            done += len(chunk)
            on_bytes(done)


def _open(address: str, index: str, accept: str = "*/*") -> Any:
    """The answer of `address`; the index's password goes to the index's host alone, and not along a redirection."""
    parts, own = urllib.parse.urlsplit(address), urllib.parse.urlsplit(index)
    if parts.scheme not in ("http", "https"):
        raise MissingWeightsError(f"{parts.scheme}: is no address of a package index.", "Use http or https.")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    request = urllib.request.Request(urllib.parse.urlunsplit(bare), headers={"Accept": accept})
    login = _login(parts) or (_login(own) if parts.hostname == own.hostname else None)
    if login is not None:
        token = base64.b64encode(":".join(login).encode("utf-8")).decode("ascii")
        request.add_unredirected_header("Authorization", f"Basic {token}")
    certificates = next(
        (path for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if (path := os.environ.get(name))), None
    )
    context = ssl.create_default_context(cafile=certificates) if parts.scheme == "https" else None
    return urllib.request.urlopen(request, timeout=_ANSWER_SECONDS, context=context)


def _login(parts: urllib.parse.SplitResult) -> tuple[str, str] | None:
    """User and password in an address, else those that ~/.netrc has for its host."""
    if parts.username:
        return urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
    with suppress(OSError, netrc.NetrcParseError):
        kept = netrc.netrc(os.environ.get("NETRC")).authenticators(parts.hostname or "")
        if kept:
            return kept[0], kept[2] or ""
    return None


def _name(link: str) -> str:
    return urllib.parse.unquote(urllib.parse.urlsplit(link).path.rpartition("/")[2])


class _Links(HTMLParser):
    """Where the anchors of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def _pip_file() -> dict[str, str]:
    """pip's `[global]` and `[download]` settings; later files win, as in pip."""
    found: dict[str, str] = {}
    for path in _pip_files():
        parser = configparser.RawConfigParser()
        with suppress(OSError, configparser.Error, UnicodeDecodeError):
            parser.read(path, encoding="utf-8")
            for section in ("global", "download"):
                if parser.has_section(section):
                    found |= {key.replace("_", "-"): value.strip() for key, value in parser.items(section)}
    return found


def _pip_files() -> Iterator[Path]:
    home, name = Path.home(), "pip.ini" if os.name == "nt" else "pip.conf"
    if os.name == "nt":
        yield Path(os.environ.get("PROGRAMDATA", "C:/ProgramData")) / "pip" / name
        yield Path(os.environ.get("APPDATA", home)) / "pip" / name
    else:
        yield Path("/etc") / name
        if sys.platform == "darwin":
            yield home / "Library" / "Application Support" / "pip" / name
        yield home / ".pip" / name
        yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / name
    yield Path(sys.prefix) / name
    if given := os.environ.get("PIP_CONFIG_FILE"):
        yield Path(given)


def _uv_file() -> dict[str, str]:
    """The index of uv's own configuration, in pip's words."""
    given = os.environ.get("UV_CONFIG_FILE")
    base = Path(os.environ.get("APPDATA") or os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    with suppress(OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        kept = tomllib.loads((Path(given) if given else base / "uv" / "uv.toml").read_text(encoding="utf-8"))
        rows = [row for row in kept.get("index", []) if isinstance(row, dict) and "url" in row]
        default = next((row["url"] for row in rows if row.get("default")), kept.get("index-url", ""))
        others = [*(row["url"] for row in rows if not row.get("default")), *kept.get("extra-index-url", [])]
        return {key: value for key, value in (("index-url", default), ("extra-index-url", " ".join(others))) if value}
    return {}
