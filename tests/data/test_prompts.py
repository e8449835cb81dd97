"""Templates are open_clip's, and any pasted list of labels becomes labels or a sentence."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES

from core.data.prompts import (
    EIGHTY_TEMPLATES,
    MAX_LABEL_LENGTH,
    SEVEN_TEMPLATES,
    STRATEGIES,
    dataset_labels,
    join_labels,
    parse_labels,
    parse_templates,
    prompts_for,
    strategy_templates,
)
from core.errors import ConfigError, UnknownNameError


def test_the_ensembles_are_those_of_open_clip() -> None:
    for ours, theirs in ((SEVEN_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES), (EIGHTY_TEMPLATES, OPENAI_IMAGENET_TEMPLATES)):
        assert [template.format("crane") for template in ours] == [template("crane") for template in theirs]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat, dog\nhorse;cup", ("cat", "dog", "horse", "cup")),
        ("  golden   retriever ,,\n\n, cat ", ("golden retriever", "cat")),
        ("- cat\n* dog\n3. horse\n4) cup", ("cat", "dog", "horse", "cup")),
        ("\"tabby, tabby cat\", 'dog', “cup”", ("tabby, tabby cat", "dog", "cup")),
        ("猫、犬，馬", ("猫", "犬", "馬")),
        ("кошка\tсобака", ("кошка", "собака")),
        ("cafe\u0301", ("café",)),
        ("7\n8", ("7", "8")),
        ("a {b} c, 100 %", ("a {b} c", "100 %")),
    ],
)
def test_labels_are_read_as_meant(text: str, names: tuple[str, ...]) -> None:
    assert parse_labels(text).names == names


def test_duplicates_are_merged_with_a_sentence() -> None:
    found = parse_labels("cat, dog, Cat, dog, DOG")
    assert found.names == ("cat", "dog")
    assert any("“Cat”" in note and "counted once" in note for note in found.notes)


def test_other_scripts_and_very_long_labels_cost_a_sentence() -> None:
    found = parse_labels("cat, 猫, кошка, " + "x" * 500)
    assert len(found.names[-1]) == MAX_LABEL_LENGTH
    assert any("“猫”, “кошка”: not in Latin letters" in note for note in found.notes)
    assert any("longer than" in note for note in found.notes)
    assert parse_labels("crème brûlée, 7-up").notes == ()


def test_a_thousand_labels_are_fine_and_too_many_are_refused() -> None:
    assert len(parse_labels("\n".join(f"thing {number}" for number in range(1000))).names) == 1000
    with pytest.raises(ConfigError, match="at most 2,000"):
        parse_labels(",".join(map(str, range(6000))))


@pytest.mark.parametrize("text", ["", "  \n,;,\n", '""', "\u2028"])
def test_no_labels_is_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="no labels"):
        parse_labels(text)


@given(st.text(max_size=200))
def test_any_text_gives_distinct_clean_labels_or_a_sentence(text: str) -> None:
    try:
        names = parse_labels(text).names
    except ConfigError:
        return
    assert names
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert name == " ".join(name.split())
        assert "\n" not in name


@given(st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8), min_size=1, max_size=8, unique=True))
def test_labels_survive_being_joined_and_read_again(names: list[str]) -> None:
    assert parse_labels(join_labels(names)).names == tuple(names)
    commas = [f"{name}, the {name}" for name in names]
    assert parse_labels(join_labels(commas)).names == tuple(commas)
    assert parse_labels("\n".join(names)).names == tuple(names)


def test_templates_need_a_place_for_the_label() -> None:
    assert parse_templates("a {} here\n\n a  {} here \n{} and {}") == ("a {} here", "{} and {}")
    with pytest.raises(ConfigError, match="no place for the label"):
        parse_templates("a photo of a cat")
    with pytest.raises(ConfigError, match=r"in place of \{label\}"):
        parse_templates("a photo of a {label}")
    with pytest.raises(ConfigError, match="no template"):
        parse_templates(" \n")


def test_every_strategy_has_a_place_for_the_label() -> None:
    for name in STRATEGIES:
        templates = strategy_templates(name, domain="{animal}", custom="my {}")
        assert templates
        assert all("{}" in template and "{domain}" not in template for template in templates)
    assert strategy_templates("domain", domain=" pet ")[0].endswith("a type of pet.")
    with pytest.raises(UnknownNameError, match="photo"):
        strategy_templates("fotos")


def test_prompts_go_label_by_label() -> None:
    assert prompts_for(["cat", "{}"], ["a {}.", "the {0} {}"]) == ["a cat.", "the {0} cat", "a {}.", "the {0} {}"]


def test_classes_of_data_sets_get_readable_labels() -> None:
    titles = ("goldfish, Carassius auratus", "crane, lifting machine", "crane, wading bird")
    assert dataset_labels(("a", "b", "c"), titles) == ("goldfish", "crane", "crane, wading bird")
    assert dataset_labels(("airplane", "golden_retriever")) == ("airplane", "golden retriever")
    assert dataset_labels(("n01443537",)) == ("goldfish",)
