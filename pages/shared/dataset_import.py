"""Getting a data set onto this machine: what was understood is shown first, then stored, then chosen where it was asked
for."""

from __future__ import annotations

import base64
import io
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.data.archives import Preview, import_archive, read_archive
from core.data.catalogue import DATASETS, installed_datasets
from core.data.download import get_dataset
from core.data.layout import LEAST_SCORE, Layout, equally_good, summary
from core.data.reading import class_counts, first_pictures, skipped_lines
from core.data.spec import check_dataset_name
from core.errors import CoreError
from core.paths import local_path
from core.reports import OnProgress
from pages.shared.errors import guard, show_error
from pages.shared.foreign import literal, plain
from pages.shared.layout import command_block
from pages.shared.once import deed
from pages.shared.results import with_progress

ARCHIVE_MB = 1024
_MOST_ROWS = 200
_MOST_WARNINGS = 8


def dataset_import(wanted: str, key: str) -> None:
    """Downloaded, an archive from the visitor's computer, or a path on this machine.

    Args:
        wanted: the name that is suggested for it.
        key: prefix of the widgets' keys; `arrived` says under it what came.
    """
    spec = DATASETS.get(wanted)
    sources = ["Upload", "Path on this machine"]
    if spec is not None and spec.torchvision_name:
        sources.insert(0, "Download")
    source = st.segmented_control("From", sources, default=sources[0], required=True, key=f"{key}-from")
    if source == "Download" and spec is not None:
        st.markdown(f"{plain(spec.title)} comes from its authors' server. Licence: {plain(spec.licence)}.")
        command_block(f"python -m core data get {wanted}")
        if st.button(
            f"Download {plain(spec.title)}", icon=":material/download:", key=f"{key}-download", type="primary"
        ):
            _bring(wanted, key, wanted, partial(get_dataset, wanted, None))
        return
    free = _free_name(wanted)
    name = st.text_input("Call it", value=free, key=f"{key}-name-{free}", help="Letters, digits, - and _.").strip()
    times = st.session_state.get(f"{key}-times", 0)  # widgets of what has been imported make room for empty ones
    if source == "Upload":
        file = st.file_uploader(
            "Archive of labelled images",
            type=["zip", "tar", "gz", "tgz", "xz"],
            max_upload_size=ARCHIVE_MB,
            key=f"{key}-file-{times}",
            help=".zip, .tar, .tar.gz or .tar.xz: a folder for each class, with or without train and test above them; "
            "classes in file names; or a table of them.",
        )
        if file is not None:
            _read_and_import(file.file_id, partial(_on_disk, file), name, key)
    else:
        path = st.text_input("Archive or folder", placeholder="/data/cifar10.tar.xz", key=f"{key}-path-{times}").strip()
        if path:
            _read_and_import(path, partial(_in_place, path), name, key, path)


def arrived(key: str, picker: str = "") -> str:
    """What the import under `key` brought since this was asked last, after saying so; empty if nothing.

    Args:
        picker: key of the selectbox that shall show it, which is not drawn yet.
    """
    name = st.session_state.pop(f"{key}-arrived", "")
    card = installed_datasets().get(name)
    if card is None:
        return ""
    if picker:
        st.session_state[picker] = name
    splits = ", ".join(f"{split} {count:,}" for split, count in card["splits"].items())
    classes = len(card["classes"])
    said = f"{card['title']} is here: {classes:,} {'class' if classes == 1 else 'classes'}; {splits}."
    st.toast(plain(said), icon=":material/database:")
    st.success(plain(said), icon=":material/database:")
    return str(name)


Opened = Callable[[], Any]


@contextmanager
def _on_disk(file: Any) -> Iterator[Path]:
    """An uploaded archive as a file."""
    with tempfile.TemporaryDirectory(prefix="vitrine-import-") as folder:
        # The visitor's file name decides nothing but how it ends, which tells the kind of archive.
        archive = Path(folder) / f"upload{''.join(Path(file.name).suffixes[-2:])}"
        archive.write_bytes(file.getbuffer())
        yield archive


@contextmanager
def _in_place(path: str) -> Iterator[Path]:
    yield local_path(path)


def _read_and_import(token: str, opened: Opened, name: str, key: str, path: str = "") -> None:
    """What the files mean, a choice of how to read them, and the button that stores it."""
    with guard():
        preview = _preview(token, opened, key)
        chosen = _choose(preview, token, key)
        if path:
            layout = (
                f" --layout {shlex.quote(chosen.name)}" if chosen is not None and _is_choice(preview, chosen) else ""
            )
            command = f"python -m core data import {shlex.quote(path)} --name {shlex.quote(name)}{layout}"
            command_block(command)
        if chosen is None:
            return
        _show(preview, chosen)
        if st.button("Import", key=f"{key}-import", type="primary", icon=":material/database_upload:"):
            check_dataset_name(name)

            def work(on_progress: OnProgress) -> None:
                with opened() as source:
                    import_archive(source, name, on_progress, layout=chosen.name)

            _bring(name, key, token, work)


def _preview(token: str, opened: Opened, key: str) -> Preview:
    """What is in the files, read once for each of them; an error is kept, too.

    Raises:
        CoreError: they cannot be read.
    """
    place = f"{key}-preview"
    kept = st.session_state.get(place)
    if kept is None or kept[0] != token:

        def read(on_progress: OnProgress) -> Preview:
            with opened() as source:
                return read_archive(source, on_progress)

        try:
            found: Preview | CoreError = with_progress("Reading …", read)
        except CoreError as error:
            found = error
        kept = st.session_state[place] = (token, found)
    if isinstance(kept[1], CoreError):
        if st.button("Read again", key=f"{key}-again", icon=":material/refresh:"):
            del st.session_state[place]
            st.rerun()
        raise kept[1]
    return kept[1]


def _is_choice(preview: Preview, chosen: Layout) -> bool:
    """Whether the command line has to be told to read the files so."""
    layouts = preview.reading.layouts
    return chosen.name != layouts[0].name or bool(equally_good(layouts))


def _choose(preview: Preview, token: str, key: str) -> Layout | None:
    """How to read the files; None until somebody has said so where two ways are equally good.

    Raises:
        ArchiveError: there is no way to read them.
    """
    layouts = [each for each in preview.reading.layouts if each.score >= LEAST_SCORE]
    if not layouts:
        return preview.reading.choose()  # which says why not
    rivals = equally_good(layouts)
    if rivals:
        st.info(
            "The files can be read in several ways that are equally good. Which is meant?",
            icon=":material/alt_route:",
        )
    if len(layouts) == 1:
        return layouts[0]
    by_name = {each.name: each for each in preview.reading.layouts}
    name = st.selectbox(
        "How it is read",
        list(by_name),
        index=None if rivals else 0,
        format_func=lambda each: literal(f"{by_name[each].title}: {summary(by_name[each])}", 160),
        placeholder="Choose",
        key=f"{key}-layout-{token}",
    )
    return None if name is None else by_name[name]


def _show(preview: Preview, layout: Layout) -> None:
    """Classes by splits with a picture of each, what is skipped and why, and what to know."""
    reading, counts, firsts = preview.reading, class_counts(layout), first_pictures(layout)
    st.markdown(f"**{plain(layout.title)}.** {plain(summary(layout))}.")
    rows = [
        {
            "picture": _address(preview, firsts[name]),
            "class": literal(f"{name} ({layout.titles[name]})" if name in layout.titles else name),
            **{literal(split): counts[split][name] for split in layout.splits},
        }
        for name in layout.classes[:_MOST_ROWS]
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        height=38 + 35 * min(len(rows), 8),
        column_config={"picture": st.column_config.ImageColumn("")},
    )
    if len(layout.classes) > _MOST_ROWS:
        st.caption(f"The first {_MOST_ROWS} of {len(layout.classes):,} classes.")
    warnings = reading.warnings(layout)
    for each in warnings[:_MOST_WARNINGS]:
        st.caption(f":material/info: {plain(each)}")
    if len(warnings) > _MOST_WARNINGS:
        st.caption(f"And {len(warnings) - _MOST_WARNINGS} more, which the data set keeps.")
    skipped = reading.skipped(layout)
    if skipped:
        count = len(skipped)
        with st.expander(f"{count:,} {'file is' if count == 1 else 'files are'} skipped"):
            for line in skipped_lines(skipped):
                st.caption(plain(line))


def _address(preview: Preview, parts: tuple[str, ...]) -> str | None:
    """A picture as an address that holds it; None of one that cannot be read."""
    picture = preview.pictures.get(parts)
    if picture is None:
        return None
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def _bring(name: str, key: str, token: str, work: Callable[[OnProgress], object]) -> None:
    """Bring a data set here under a bar where it was asked for; what goes wrong is a sentence.

    Args:
        token: what tells the files from others: a second click on them brings no second copy.
    """
    last = deed(f"bring-{key}-{token}")

    def bring(on_progress: OnProgress) -> str:
        work(on_progress)
        return name

    try:
        name = with_progress(f"Getting {name} …", lambda on_progress: last.once(lambda: bring(on_progress)))
    except CoreError as error:
        show_error(error)
        return
    st.session_state.pop(f"{key}-preview", None)
    st.session_state[f"{key}-arrived"] = name
    st.session_state[f"{key}-times"] = st.session_state.get(f"{key}-times", 0) + 1
    st.rerun()


def _free_name(wanted: str) -> str:
    """`wanted`, or with a number where a data set has that name."""
    installed, number, name = installed_datasets(), 2, wanted
    while name in installed:
        name, number = f"{wanted}_{number}", number + 1
    return name
