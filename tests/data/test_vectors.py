"""Files of vectors: what is written is read, what others write is understood, and what is broken is one sentence."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data.pictures import open_set
from core.data.vector_sets import vector_set, vector_table
from core.data.vectors import FORMATS, MOST_ROWS, Format, VectorTable, read_vectors, write_vectors
from core.errors import CoreError
from core.reports import finish

TABLE = VectorTable(
    vectors=np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32),
    ids=("007", "NA", "a, b", "ü"),
    columns={"label": ("1", "2", "1", "nan"), "split": ("train", "train", "test", "test"), "condition": tuple("aabb")},
    positions=np.arange(8, dtype=np.float32).reshape(4, 2) / 3,
)


def saved(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_written_is_read_to_the_last_bit(kind: Format) -> None:
    found = read_vectors(write_vectors(TABLE, kind), f"x.{kind}")
    np.testing.assert_array_equal(found.vectors, TABLE.vectors)
    assert found.positions is not None
    np.testing.assert_array_equal(found.positions, TABLE.positions)
    assert (found.ids, found.columns) == (TABLE.ids, TABLE.columns)
    assert set(FORMATS) == set(get_args(Format))


def test_what_other_tools_write_is_understood() -> None:
    numbers = np.arange(12.0).reshape(3, 4)
    pandas = pd.DataFrame(numbers, columns=list("abcd")).assign(class_="x").rename(columns={"class_": "Class"})
    for data, name in (
        (saved(embeddings=numbers, y=np.zeros(3)), "a.npz"),
        (saved(arr_0=numbers), "b.NPZ"),
        (pandas.to_csv(index=False, sep=";").encode(), "c.csv"),
        (pandas.to_csv(index=False, sep="\t").encode("utf-8-sig"), "d.csv"),
        (pd.DataFrame({"embedding": list(numbers), "Class": "x"}).to_parquet(), "e.parquet"),
    ):
        found = read_vectors(data, name)
        np.testing.assert_array_equal(found.vectors, numbers, err_msg=name)
        assert found.ids == ("row 1", "row 2", "row 3")
        assert found.columns == ({} if name.lower().endswith("npz") else {"label": ("x",) * 3}), name


@pytest.mark.parametrize(
    ("data", "name", "sentence"),
    [
        (b"", "x.csv", "damaged, or no CSV"),
        (b"\x00\xff\x00", "x.csv", "none of its columns|no rows|damaged"),
        (b"id,label\na,b\n", "x.csv", "none of its columns holds numbers"),
        (b"v0,v1\n1,2\n3,\n", "x.csv", "no numbers"),
        (b"v0,v1\n1,2\n3,nan\n", "x.csv", "empty, infinite"),
        (b"v0,v1\n1,2,3,4\n5\n", "x.csv", "no numbers|damaged"),
        (b"PK\x03\x04nonsense", "x.npz", "damaged, or no NPZ"),
        (saved(vectors=np.array([{"a": 1}], dtype=object)), "x.npz", "damaged, or no NPZ"),
        (saved(vectors=np.zeros((2, 3)), labels=np.zeros(3)), "x.npz", "3 label for 2 pictures"),
        (saved(vectors=np.zeros((2, 3)), positions=np.zeros((2, 5))), "x.npz", "5 axes"),
        (saved(vectors=np.zeros((2, 3)), thumbnails=np.zeros((2, 4, 4))), "x.npz", "thumbnails of shape"),
        (saved(vectors=np.full((2, 3), np.inf)), "x.npz", "infinite"),
        (saved(vectors=np.zeros(())), "x.npz", "expected one row a picture"),
        (saved(a=np.zeros((2, 9)), b=np.zeros((2, 9))), "x.npz", "no array called vectors"),
        (b"PAR1 nothing PAR1", "x.parquet", "damaged, or no PARQUET"),
        (pd.DataFrame({"v": [[1.0], [1.0, 2.0]]}).to_parquet(), "x.parquet", "different lengths"),
        (b"", "x.pkl", "no file of vectors"),
    ],
)
def test_bad_files_are_one_sentence(data: bytes, name: str, sentence: str) -> None:
    with pytest.raises(CoreError, match=sentence):
        read_vectors(data, name)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.data())
def test_damaged_files_never_end_in_anything_but_a_sentence(kind: Format, data: st.DataObject) -> None:
    content = bytearray(write_vectors(TABLE, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        found = read_vectors(bytes(content), f"x.{kind}")
    except CoreError:
        return
    assert np.isfinite(found.vectors).all()


def test_more_rows_than_can_be_drawn_are_left_out_and_that_is_said() -> None:
    found = read_vectors(saved(vectors=np.zeros((MOST_ROWS + 5, 2))), "x.npz")
    assert len(found.ids) == MOST_ROWS
    assert "first 10,000 rows" in found.note


def test_a_file_of_vectors_is_a_set_with_pictures_where_it_names_some(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    (tmp_path / "v.csv").write_text(
        "image,label,split,v0,v1\na.png,cat,train,1,0\nnone.png,dog,test,0,1\n", encoding="utf-8"
    )
    images = finish(open_set(f"vectors:{tmp_path / 'v.csv'}"))
    assert images.ids == ("a.png", "none.png")
    assert [images.classes[label] for label in images.labels] == ["cat", "dog"]
    assert images.attributes[0].words == ["train", "test"]
    assert images.pictured
    assert tuple(images.thumbnails[0, 9, 9]) == (255, 0, 0)
    assert "Of 1 of 2 rows no picture" in images.note
    np.testing.assert_array_equal(images.vectors, np.eye(2))
    plain = finish(vector_set(TABLE, name="t", title="T"))
    assert not plain.pictured
    # Out again, nothing is lost.
    again = vector_table(plain, TABLE.vectors, TABLE.positions)
    assert (again.ids, again.columns) == (TABLE.ids, TABLE.columns)
    assert again.thumbnails is None
