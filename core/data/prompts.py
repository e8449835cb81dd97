"""What is asked of a text encoder: prompt templates as format strings, and lists of labels as people paste them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from core.data.label_text import pasted_list
from core.data.wordnet import class_synset
from core.errors import ConfigError, UnknownNameError

StrategyName = Literal["plain", "photo", "descriptive", "domain", "ensemble", "ensemble_80", "custom"]

MAX_LABELS = 2000
MAX_LABEL_LENGTH = 200
MAX_TEMPLATES = 200

# Radford et al. 2021, arXiv:2103.00020, notebook Prompt_Engineering_for_ImageNet.ipynb (MIT licence): the seven that
# were "slightly better than all 80", and the 80.
SEVEN_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
# fmt: off
EIGHTY_TEMPLATES = (
    "a bad photo of a {}.", "a photo of many {}.", "a sculpture of a {}.", "a photo of the hard to see {}.",
    "a low resolution photo of the {}.", "a rendering of a {}.", "graffiti of a {}.", "a bad photo of the {}.",
    "a cropped photo of the {}.", "a tattoo of a {}.", "the embroidered {}.", "a photo of a hard to see {}.",
    "a bright photo of a {}.", "a photo of a clean {}.", "a photo of a dirty {}.", "a dark photo of the {}.",
    "a drawing of a {}.", "a photo of my {}.", "the plastic {}.", "a photo of the cool {}.",
    "a close-up photo of a {}.", "a black and white photo of the {}.", "a painting of the {}.", "a painting of a {}.",
    "a pixelated photo of the {}.", "a sculpture of the {}.", "a bright photo of the {}.", "a cropped photo of a {}.",
    "a plastic {}.", "a photo of the dirty {}.", "a jpeg corrupted photo of a {}.", "a blurry photo of the {}.",
    "a photo of the {}.", "a good photo of the {}.", "a rendering of the {}.", "a {} in a video game.",
    "a photo of one {}.", "a doodle of a {}.", "a close-up photo of the {}.", "a photo of a {}.", "the origami {}.",
    "the {} in a video game.", "a sketch of a {}.", "a doodle of the {}.", "a origami {}.",
    "a low resolution photo of a {}.", "the toy {}.", "a rendition of the {}.", "a photo of the clean {}.",
    "a photo of a large {}.", "a rendition of a {}.", "a photo of a nice {}.", "a photo of a weird {}.",
    "a blurry photo of a {}.", "a cartoon {}.", "art of a {}.", "a sketch of the {}.", "a embroidered {}.",
    "a pixelated photo of a {}.", "itap of the {}.", "a jpeg corrupted photo of the {}.", "a good photo of a {}.",
    "a plushie {}.", "a photo of the nice {}.", "a photo of the small {}.", "a photo of the weird {}.",
    "the cartoon {}.", "art of the {}.", "a drawing of the {}.", "a photo of the large {}.",
    "a black and white photo of a {}.", "the plushie {}.", "a dark photo of a {}.", "itap of a {}.",
    "graffiti of the {}.", "a toy {}.", "itap of my {}.", "a photo of a cool {}.", "a photo of a small {}.",
    "a tattoo of the {}.",
)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class PromptStrategy:
    """One way to turn a label into sentences.

    Attributes:
        name: key in the catalogue and in page addresses.
        title: what people read.
        summary: what it is for, in one sentence.
        templates: with `{}` for the label; of several, the class is the mean of what they give. `{domain}` is filled
            by `strategy_templates`; empty for the templates that the user writes.
    """

    name: StrategyName
    title: str
    summary: str
    templates: tuple[str, ...]


STRATEGIES: dict[str, PromptStrategy] = {
    strategy.name: strategy
    for strategy in (
        PromptStrategy(
            name="plain",
            title="Label only",
            summary="The bare word, which captions seldom are.",
            templates=("{}",),
        ),
        PromptStrategy(
            name="photo",
            title="Photo",
            summary="A sentence like those that the model was trained on.",
            templates=("a photo of a {}.",),
        ),
        PromptStrategy(
            name="descriptive",
            title="Descriptive",
            summary="A long sentence about how the thing looks and where it is.",
            templates=("a sharp, detailed photo of a {} in its usual surroundings, seen as a whole.",),
        ),
        PromptStrategy(
            name="domain",
            title="Domain",
            summary="Says what kind of thing the labels are, which tells a crane from a crane.",
            templates=("a photo of a {}, a type of {domain}.",),
        ),
        PromptStrategy(
            name="ensemble",
            title="7 prompts",
            summary="The mean of seven sentences that OpenAI chose for ImageNet.",
            templates=SEVEN_TEMPLATES,
        ),
        PromptStrategy(
            name="ensemble_80",
            title="80 prompts",
            summary="The mean of all eighty sentences that OpenAI wrote for ImageNet.",
            templates=EIGHTY_TEMPLATES,
        ),
        PromptStrategy(
            name="custom",
            title="Your own",
            summary="Your sentences, one a line, with {} where the label goes.",
            templates=(),
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class LabelList:
    """Labels as they were meant, and what had to be done to the text for that.

    Attributes:
        names: different labels in the order given.
        notes: sentences for whoever typed them.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def parse_labels(text: str) -> LabelList:
    """Labels out of pasted text: lines, commas, semicolons and tabs separate; “quotes” keep commas together.

    A list or dictionary out of Python or JSON is read as such (`core.data.label_text`). Bullets and numbers in front
    are dropped, spaces are made single, and a label that occurs again, in capitals or not, is merged with its first
    occurrence.

    Raises:
        ConfigError: there is no label, or more than `MAX_LABELS`.
    """
    found: dict[str, str] = {}
    repeated: list[str] = []
    shortened = 0
    pasted = pasted_list(text)
    for part in _PARTS.findall(_bare(text)) if pasted is None else pasted:
        name = _clean(part)
        if len(name) > MAX_LABEL_LENGTH:
            name, shortened = name[:MAX_LABEL_LENGTH].rstrip(), shortened + 1
        if not name:
            continue
        if name.casefold() in found:
            repeated.append(name)
        else:
            found[name.casefold()] = name
    if not found:
        raise ConfigError("There are no labels.", "Type some, with commas or line breaks between them: cat, dog, cup.")
    if len(found) > MAX_LABELS:
        raise ConfigError(f"There are {len(found):,} labels; at most {MAX_LABELS:,} are compared.", "Leave some out.")
    names = tuple(found.values())
    return LabelList(names=names, notes=tuple(_notes(names, repeated, shortened)))


def join_labels(names: Sequence[str]) -> str:
    """A text that `parse_labels` reads back as `names`."""
    return ", ".join(f'"{name}"' if _PARTS.findall(name) != [name] else name for name in names)


def parse_templates(text: str) -> tuple[str, ...]:
    """Templates out of a text, one a line; one that occurs again counts once.

    Raises:
        ConfigError: there is none, one has no `{}`, or there are more than `MAX_TEMPLATES`.
    """
    lines = (" ".join(unicodedata.normalize("NFC", line).split()) for line in text.splitlines())
    templates = tuple(dict.fromkeys(line for line in lines if line))
    if not templates:
        raise ConfigError("There is no template.", "Write a sentence with {} where the label goes: a photo of a {}.")
    for template in templates:
        check_template(template)
    if len(templates) > MAX_TEMPLATES:
        raise ConfigError(f"There are {len(templates)} templates; at most {MAX_TEMPLATES} are averaged.")
    return templates


def check_template(template: str) -> None:
    """Raise `ConfigError` unless the label has a place in `template`."""
    if "{}" in template:
        return
    named = re.search(r"\{[^{}]*\}", template)
    hint = f"Write {{}} in place of {named[0]}." if named else f"Write {{}} where it goes, such as: {template} {{}}"
    raise ConfigError(f"The template “{template}” has no place for the label.", hint)


def strategy_templates(name: str, *, domain: str = "", custom: str = "") -> tuple[str, ...]:
    """The templates of a strategy, each with `{}` for the label.

    Args:
        domain: what kind of thing all labels are, for "domain"; "object" if empty.
        custom: the user's templates, for "custom".

    Raises:
        ConfigError: the user's templates are none.
        UnknownNameError: there is no such strategy.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("prompt strategy", name, STRATEGIES)
    if name == "custom":
        return parse_templates(custom)
    kind = " ".join(domain.replace("{", "").replace("}", "").split()) or "object"
    return tuple(template.replace("{domain}", kind) for template in STRATEGIES[name].templates)


def fill_template(template: str, label: str) -> str:
    """The sentence that a template makes of a label; other braces than `{}` stay as they are."""
    return template.replace("{}", label)


def prompts_for(labels: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every sentence, label by label: `labels` × `templates`."""
    return [fill_template(template, label) for label in labels for template in templates]


def dataset_labels(classes: Sequence[str], titles: Sequence[str] | None = None) -> tuple[str, ...]:
    """A readable label for each class of a data set: its title up to the first comma, else its name.

    An ImageNet id without a title is looked up in WordNet. Of several classes with one label, the later ones keep
    their other names too: "crane, wading bird".
    """
    full = [_class_title(name, title) for name, title in zip(classes, titles or classes, strict=True)]
    labels: list[str] = []
    for title in full:
        short = title.split(",")[0].strip() or title
        labels.append(title if short in labels else short)
    return tuple(labels)


def _class_title(name: str, title: str) -> str:
    if title == name and (synset := class_synset(name)) is not None and synset.wnid == name:
        return ", ".join(synset.names)
    return title.replace("_", " ")


# Quoted stretches, or whatever lies between separators: also the commas of Chinese, Japanese and Arabic. Single quotes
# are apostrophes too, so they count only from one separator to the next.
_SEPARATORS = r",;\t\n\r\v\f\u2028\u2029，、；،؛"
_QUOTED = r'"[^"\n\r]*"|“[^”\n\r]*”|„[^“”\n\r]*[“”]|«[^»\n\r]*»'
_SINGLE = rf"(?:'[^'\n\r]*'|‘[^’\n\r]*’)[ ]*(?=[{_SEPARATORS}]|$)"
_PARTS = re.compile(rf"[ ]*(?:{_QUOTED}|{_SINGLE})|[^{_SEPARATORS}]+")
_BULLET = re.compile(r"(?:[-*•·–]|\d{1,4}[.)])\s+")
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("„", "“"))


def _bare(text: str) -> str:
    """The inside of a list without quotation marks: [cat, dog]."""
    plain = text.strip().removeprefix("\ufeff")
    inside = plain[1:-1]
    return inside if plain[:1] == "[" and plain[-1:] == "]" and not {*inside} & {*"[]"} else plain


def _clean(part: str) -> str:
    """One label without bullets, quotation marks around it, control characters and spare spaces."""
    plain = "".join(" " if unicodedata.category(each) == "Cc" else each for each in part)
    name = " ".join(unicodedata.normalize("NFC", plain).split())
    name = _BULLET.sub("", name, count=1) if _BULLET.match(name) else name
    for left, right in _QUOTES:
        if len(name) > 1 and name[0] == left and name[-1] == right:
            name = name[1:-1].strip()
    return name


def _notes(names: Sequence[str], repeated: Sequence[str], shortened: int) -> Iterator[str]:
    """What whoever typed the labels should know."""
    if repeated:
        which = _some(list(dict.fromkeys(repeated)))
        occurs, is_counted = ("occurs", "is") if len(set(repeated)) == 1 else ("occur", "are")
        yield f"{which} {occurs} more than once and {is_counted} counted once."
    if shortened:
        label = "One label is" if shortened == 1 else f"{shortened} labels are"
        yield f"{label} longer than {MAX_LABEL_LENGTH} characters; the rest was cut off."
    files = [name for name in names if name.casefold().endswith((".txt", ".csv", ".tsv", ".json"))]
    if files:
        yield f"{_some(files)}: the name of a file? Labels are read here, not out of files."
    foreign = [name for name in names if not is_latin(name)]
    if foreign:
        yield (
            f"{_some(foreign)}: not in Latin letters. Most models learned from English captions alone and read other "
            "scripts byte by byte, so the scores of such labels mean little."
        )


def is_latin(text: str) -> bool:
    """Whether every letter of `text` is a Latin one; digits and signs do not count."""
    return all(unicodedata.name(each, "").startswith("LATIN") for each in text if each.isalpha())


def _some(names: Sequence[str], count: int = 3) -> str:
    """The first few names in quotation marks, and how many more there are."""
    shown = ", ".join(f"“{name[:40]}”" for name in names[:count])
    more = len(names) - count
    return f"{shown} and {more} more" if more > 0 else shown
