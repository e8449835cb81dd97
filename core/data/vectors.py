"""Vectors of pictures in files: out for other tools, in from them, as CSV, NPZ or Parquet.

| what             | CSV and Parquet                                               | NPZ                        |
|------------------|---------------------------------------------------------------|----------------------------|
| the vectors      | v0, v1 …, or a column of lists; else all columns of numbers    | vectors; else the one matrix |
| names            | id, name, file                                                | id, ids, names             |
| labels           | label, class                                                  | label, labels              |
| split, condition | split, condition                                              | split, condition           |
| places           | x, y (and z)                                                  | positions                  |
| pictures         | image: paths on this machine                                  | image; thumbnails (uint8)  |

Nothing of a file is ever executed: arrays of Python objects are refused.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.errors import ConfigError, CoreError

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "npz", "parquet"]

FORMATS: tuple[Format, ...] = ("csv", "npz", "parquet")
# More cannot be drawn; and a file may say that it holds anything.
MOST_ROWS, MOST_DIM, MOST_BYTES = 10_000, 16_384, 512 * 2**20
_NUMBERED = re.compile(r"(?:v|dim|d|e|f|feature|emb|embedding|vector|pc)?[_ .-]?\d{1,5}", re.IGNORECASE)
_WORDS: dict[str, tuple[str, ...]] = {
    "id": ("id", "ids", "name", "names", "file", "filename", "path"),
    "label": ("label", "labels", "class", "classes", "category", "target", "y_true"),
    "split": ("split", "splits", "set"),
    "condition": ("condition", "conditions", "domain"),
    "image": ("image", "images", "image_path", "thumbnail_path"),
}
# pandas, pyarrow, NumPy and zlib say it in so many ways, each of them one of these.
_DAMAGED = (
    ValueError, TypeError, KeyError, OSError, EOFError, NotImplementedError, MemoryError, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
_HOW = "Write columns id, label and v0, v1 …, or save vectors and labels with np.savez."


@dataclass(frozen=True, kw_only=True)
class VectorTable:
    """Vectors of pictures and what is known of each.

    Attributes:
        vectors: (images, dim) float32, finite.
        ids: names, each once.
        columns: "label", "split", "condition" → a text for each picture, where it is known.
        positions: (images, 2 or 3) float32 where each lies on a plane; None if that is not given.
        images: paths of pictures on this machine; empty if not given.
        thumbnails: (images, side, side, 3) uint8; None if not given.
        note: what was left out; empty if nothing.
    """

    vectors: np.ndarray
    ids: tuple[str, ...]
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    positions: np.ndarray | None = None
    images: tuple[str, ...] = ()
    thumbnails: np.ndarray | None = None
    note: str = ""

    def __post_init__(self) -> None:
        count = len(self.ids)
        sizes = {
            "vectors": len(self.vectors),
            **{name: len(each) for name, each in self.columns.items()},
            **({} if self.positions is None else {"positions": len(self.positions)}),
            **({} if self.thumbnails is None else {"thumbnails": len(self.thumbnails)}),
            **({"images": len(self.images)} if self.images else {}),
        }
        for name, size in sizes.items():
            if size != count:
                raise ConfigError(f"There are {size:,} {name} for {count:,} pictures.", "Give one for each.")


def write_vectors(table: VectorTable, kind: Format) -> bytes:
    """The table as a file that `read_vectors` reads; numbers of a CSV are written as short as float32 allows."""
    if kind == "npz":
        arrays: dict[str, np.ndarray] = {"vectors": table.vectors, "id": np.array(table.ids, dtype=np.str_)}
        arrays |= {name: np.array(each, dtype=np.str_) for name, each in table.columns.items()}
        if table.images:
            arrays["image"] = np.array(table.images, dtype=np.str_)
        for name in ("positions", "thumbnails"):
            if (given := getattr(table, name)) is not None:
                arrays[name] = given
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()
    frame = _frame(table, lists=kind == "parquet")
    if kind == "csv":
        return bytes(frame.to_csv(index=False).encode())
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read_vectors(data: bytes, name: str) -> VectorTable:
    """What is in a file whose `name` ends in .csv, .npz or .parquet.

    Of more than 10,000 rows the first are taken, and the note says so.

    Raises:
        CoreError: it is no such file, is damaged or too large, or holds no vectors that could be drawn.
    """
    kind = PurePath(name.lower()).suffix.removeprefix(".")
    readers = {"csv": _read_csv, "npz": _read_npz, "parquet": _read_parquet}
    if kind not in readers:
        raise CoreError(f"{name!r} is no file of vectors.", f"Vitrine reads {', '.join(FORMATS)}.")
    if len(data) > MOST_BYTES:
        raise CoreError(f"{name!r} has {len(data) / 2**20:,.0f} MiB; the limit is {MOST_BYTES // 2**20}.", "Take less.")
    try:
        return readers[kind](data)
    except CoreError as error:
        raise CoreError(f"{name!r} cannot be shown: {error.cause}", error.remedy) from error
    except (
        ValueError,
        TypeError,
        KeyError,
        OSError,
        EOFError,
        zipfile.BadZipFile,
        MemoryError,
        OverflowError,
    ) as error:
        # pandas, pyarrow and NumPy say it in so many ways, each of them one of these.
        raise CoreError(f"{name!r} is damaged, or no {kind.upper()} file.", _HOW) from error


def _frame(table: VectorTable, *, lists: bool) -> pd.DataFrame:
    """One row a picture."""
    import pandas as pd

    columns: dict[str, Any] = {"id": table.ids, **table.columns}
    if table.images:
        columns["image"] = table.images
    if table.positions is not None:
        columns |= dict(zip("xyz", np.asarray(table.positions, np.float32).T, strict=False))
    if lists:
        columns["vector"] = list(np.asarray(table.vectors, np.float32))
    else:
        columns |= {f"v{index}": column for index, column in enumerate(np.asarray(table.vectors, np.float32).T)}
    return pd.DataFrame(columns)


def _read_csv(data: bytes) -> VectorTable:
    import pandas as pd

    # All as text first: a name such as 007 or NA is a name. The separator may be any.
    head = data[:65_536].decode("utf-8", errors="replace").partition("\n")[0]
    separator = max(",;\t", key=head.count)
    frame = pd.read_csv(
        io.BytesIO(data),
        sep=separator,
        dtype=str,
        keep_default_na=False,
        nrows=MOST_ROWS + 1,
        encoding_errors="replace",
    )
    return _of_frame(frame)


def _read_parquet(data: bytes) -> VectorTable:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    if file.metadata.num_columns > MOST_DIM + 100:
        raise ConfigError(f"it has {file.metadata.num_columns:,} columns; at most {MOST_DIM:,} numbers a row are read.")
    parts, rows = [], 0
    for batch in file.iter_batches(batch_size=1000):
        if batch.nbytes > MOST_BYTES:
            raise ConfigError("its rows are too long.")
        parts.append(batch.to_pandas())
        rows += len(batch)
        if rows > MOST_ROWS:
            break
    if not parts:
        raise ConfigError("it has no rows.", _HOW)
    import pandas as pd

    return _of_frame(pd.concat(parts, ignore_index=True))


def _of_frame(frame: pd.DataFrame) -> VectorTable:
    """A table whose columns say what they are by their names."""
    frame = frame.rename(columns=lambda each: str(each).strip())
    if frame.columns.has_duplicates:
        raise ConfigError("two of its columns have the same name.", _HOW)
    note = ""
    if len(frame) > MOST_ROWS:
        frame, note = frame.iloc[:MOST_ROWS], f"Of the file the first {MOST_ROWS:,} rows are shown."
    if not len(frame):
        raise ConfigError("it has no rows.", _HOW)
    lower = {name.lower(): name for name in reversed(list(frame.columns))}
    named = {what: next((lower[word] for word in words if word in lower), "") for what, words in _WORDS.items()}
    places = [lower[axis] for axis in "xyz" if axis in lower]
    places = places if len(places) >= 2 and "x" in lower and "y" in lower else []
    known = {*named.values(), *places}
    others = [name for name in frame.columns if name not in known]
    texts = {what: tuple(map(str, frame[column])) for what, column in named.items() if column}
    return _table(
        _vectors_of(frame, others),
        texts,
        positions=_numbers(frame[places].to_numpy(), "positions") if places else None,
        note=note,
    )


def _vectors_of(frame: pd.DataFrame, others: list[str]) -> np.ndarray:
    """Of the columns that are nothing else: lists, else numbered ones, else all that hold numbers."""
    lists = [name for name in others if isinstance(frame[name].iloc[0], list | tuple | np.ndarray)]
    if lists:
        rows = [np.asarray(each, np.float64).ravel() for each in frame[lists[0]]]
        if len({len(row) for row in rows}) > 1:
            raise ConfigError(f"the vectors in {lists[0]!r} have different lengths.", _HOW)
        return _numbers(np.stack(rows), "vectors")
    numbered = [name for name in others if _NUMBERED.fullmatch(name)]
    columns = numbered or [name for name in others if _is_number(frame[name].iloc[0])]
    if not columns:
        raise ConfigError("none of its columns holds numbers.", _HOW)
    return _numbers(frame[columns].to_numpy(), "vectors")


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _read_npz(data: bytes) -> VectorTable:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(each.file_size for each in archive.infolist()) > MOST_BYTES:
            raise ConfigError(f"unpacked it is larger than {MOST_BYTES // 2**20} MiB.", "Take less.")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    lower = {name.lower(): each for name, each in arrays.items()}
    matrices = [
        name for name, each in lower.items() if each.ndim == 2 and each.dtype.kind in "fiu" and each.shape[1] > 3
    ]
    key = next((name for name in ("vectors", "embeddings", "features", "x") if name in lower), "")
    if not key and len(matrices) != 1:
        raise ConfigError("it has no array called vectors.", _HOW)
    vectors = lower[key or matrices[0]]
    count = len(vectors) if vectors.ndim else 0
    texts = {}
    for what, words in _WORDS.items():
        found = next((lower[word] for word in words if word in lower and lower[word].ndim == 1), None)
        if found is not None:
            texts[what] = tuple(map(str, found[:MOST_ROWS].tolist()))
    positions = next((lower[name] for name in ("positions", "coordinates", "plane") if name in lower), None)
    thumbnails = lower.get("thumbnails")
    if thumbnails is not None and (thumbnails.ndim != 4 or thumbnails.shape[-1] != 3 or thumbnails.dtype != np.uint8):
        raise ConfigError(f"thumbnails of shape {thumbnails.shape}; expected (images, side, side, 3) uint8.", _HOW)
    return _table(
        _numbers(vectors[:MOST_ROWS] if vectors.ndim else vectors, "vectors"),
        texts,
        positions=None if positions is None else _numbers(positions[:MOST_ROWS], "positions"),
        thumbnails=None if thumbnails is None else thumbnails[:MOST_ROWS],
        note=f"Of the file the first {MOST_ROWS:,} rows are shown." if count > MOST_ROWS else "",
    )


def _table(
    vectors: np.ndarray,
    texts: dict[str, tuple[str, ...]],
    *,
    positions: np.ndarray | None,
    thumbnails: np.ndarray | None = None,
    note: str = "",
) -> VectorTable:
    count, dim = vectors.shape
    if not count or not dim:
        raise ConfigError(f"its vectors have the shape {vectors.shape}.", _HOW)
    if dim > MOST_DIM:
        raise ConfigError(f"its vectors have {dim:,} dimensions; at most {MOST_DIM:,} are read.", "Reduce them first.")
    if positions is not None and positions.shape[1] not in (2, 3):
        raise ConfigError(f"its positions have {positions.shape[1]} axes; expected 2 or 3.", _HOW)
    ids = texts.pop("id", texts.get("image", ())) or tuple(f"row {row + 1}" for row in range(count))
    if len(set(ids)) < len(ids):
        ids = tuple(f"{each} (row {row + 1})" for row, each in enumerate(ids))
    return VectorTable(
        vectors=vectors,
        ids=ids,
        images=texts.pop("image", ()),
        columns=texts,
        positions=positions,
        thumbnails=thumbnails,
        note=note,
    )


def _numbers(values: np.ndarray, what: str) -> np.ndarray:
    """A matrix of finite float32."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"some of its {what} are no numbers.", _HOW) from error
    if found.ndim != 2:
        raise ConfigError(f"its {what} have the shape {found.shape}; expected one row a picture.", _HOW)
    with np.errstate(over="ignore"):
        found = found.astype(np.float32)
    if not np.isfinite(found).all():
        raise ConfigError(f"some of its {what} are empty, infinite, or no numbers.", "Leave those rows out.")
    return found
