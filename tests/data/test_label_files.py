"""Labels in files and code as people have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.label_files import file_labels, given_labels
from core.data.prompts import join_labels, parse_labels
from core.errors import ConfigError, CoreError
from tests.examples import examples

BOTH = ("cat", "dog")
COMMA = ("hot dog, mustard", "cat")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("['cat', 'dog']", BOTH),
        ('["cat", "dog"]', BOTH),
        ("['cat',\n 'dog',\n]", BOTH),
        ("('cat', 'dog')", BOTH),
        ("[cat, dog]", BOTH),
        ("['cat' 'dog']", BOTH),
        ("['cat', 'dog'", BOTH),
        ("classes = ['cat', 'dog'];", BOTH),
        ("LABELS: list[str] = ['cat', 'dog']", BOTH),
        ("np.array(['cat', 'dog'], dtype='<U3')", BOTH),
        ("array(['cat', 'dog'],\n      dtype=object)", BOTH),
        ("Index(['cat', 'dog'], dtype='object')", BOTH),
        ("{'dog': 1, 'cat': 0}", BOTH),
        ('{"1": "dog", "0": "cat"}', BOTH),
        ('{"labels": ["cat", "dog"]}', BOTH),
        ('{"id2label": {"0": "cat", "1": "dog"}, "other": 3}', BOTH),
        ('[{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]', BOTH),
        ("[“cat”, “dog”]", BOTH),
        ("“cat”, “dog”", BOTH),
        ("‘cat’, ‘dog’", BOTH),
        ("«cat» „dog“".replace("» „", "», „"), BOTH),
        ("“hot dog, mustard”, cat", COMMA),
        ('"hot dog, mustard", cat', COMMA),
        ("'hot dog, mustard', cat", COMMA),
        ("['hot dog, mustard', 'cat']", COMMA),
        ("\ufeffcat\r\ndog\r\n", BOTH),
        ("it's, '90s car, rock 'n' roll", ("it's", "'90s car", "rock 'n' roll")),
        ("(small) dog, cat (big)", ("(small) dog", "cat (big)")),
        ("a {b}, [c] d", ("a {b}", "[c] d")),
    ],
)
def test_pasted_text_is_read_as_it_was_meant(text: str, names: tuple[str, ...]) -> None:
    assert parse_labels(text).names == names
    assert parse_labels(join_labels(names)).names == names


FILES = {
    "one.csv": (b"cat\ndog\n", BOTH),
    "headed.csv": (b"label\r\ncat\r\ndog\r\n", BOTH),
    "numbered.csv": (b"id,label\n0,cat\n1,dog\n2,cat\n", BOTH),
    "bare.csv": (b"0,cat\n1,dog\n", BOTH),
    "row.csv": (b"cat,dog\n", BOTH),
    "unknown.csv": (b"index;animal\n0;cat\n1;dog\n", BOTH),
    "excel.csv": ("sep=;\nname;count\ncat;1\ndog;2\n".encode("utf-16"), BOTH),
    "quoted.csv": (b'label\n"hot dog, mustard"\ncat\n', COMMA),
    "tabs.tsv": (b"class\tid\ncat\t0\ndog\t1\n", BOTH),
    "list.json": (b'["cat", "dog"]', BOTH),
    "lines.jsonl": (b'{"label": "cat"}\n{"label": "dog"}\n', BOTH),
    "bom.txt": (b"\xef\xbb\xbfcat\r\ndog\r\n", BOTH),
    "utf16.txt": ("cat\ndog\n".encode("utf-16"), BOTH),
    "utf16be.txt": (b"\xfe\xff" + "cat\ndog\n".encode("utf-16-be"), BOTH),
    "unmarked.txt": ("cat\ndog".encode("utf-16-le"), BOTH),
    "latin.txt": ("café\nhôtel\n".encode("latin-1"), ("café", "hôtel")),
    "utf8.txt": ("café\nhôtel\n".encode(), ("café", "hôtel")),
    "code.py": (b"LABELS = ['cat', 'dog']\n", BOTH),
}


@pytest.mark.parametrize(("name", "data", "names"), [(name, *each) for name, each in FILES.items()], ids=FILES)
def test_files_of_every_kind(name: str, data: bytes, names: tuple[str, ...], tmp_path: Path) -> None:
    assert file_labels(data, name).names == names
    (tmp_path / name).write_bytes(data)
    assert given_labels(str(tmp_path / name)).names == names


@pytest.mark.parametrize(
    "name", ["misspelt.txt", "labels.csv", "./labels", "~/nowhere/labels", "C:\\labels", "a b.json"]
)
def test_a_file_that_does_not_exist_is_no_label(name: str) -> None:
    with pytest.raises(CoreError, match="no file"):
        given_labels(name)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.xlsx", b"PK\x03\x04rest", "zip archive"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "PNG image"),
        ("a.txt", b"", "empty"),
        ("a.txt", bytes(range(1, 200)), "unknown kind"),
        ("a.csv", b"first,second\nx,y\nz,t\n", "2 columns"),
        ("a.jsonl", b"{", "damaged"),
        ("a.csv", b",,\n", "no labels"),
    ],
)
def test_what_holds_no_list_is_named(name: str, data: bytes, said: str) -> None:
    with pytest.raises(CoreError, match=said):
        file_labels(data, name)


def test_labels_in_the_text_need_no_file() -> None:
    assert given_labels("cat, dog").names == BOTH
    assert given_labels("T-shirt/top").names == ("T-shirt/top",)
    with pytest.raises(ConfigError, match="no labels"):
        given_labels("  ,")


def test_the_name_of_a_file_in_a_field_for_labels_costs_a_sentence() -> None:
    assert any("name of a file" in note for note in parse_labels("labels.txt").notes)
    assert parse_labels("cat").notes == ()


@given(
    st.binary(max_size=40) | st.text("[]{}()'\"“”,=:ab1\n\\ ", max_size=40).map(str.encode),
    st.sampled_from(list(FILES)),
)
@examples(200)
def test_any_file_gives_labels_or_a_sentence(data: bytes, name: str) -> None:
    try:
        names = file_labels(data, name).names
    except CoreError:
        return
    assert names
    assert len({each.casefold() for each in names}) == len(names)
