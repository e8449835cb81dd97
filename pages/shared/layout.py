"""The frame that all pages share: heading, text from outside, teaching cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.models.card import read_card
from core.paths import BUNDLED, CHECKOUT
from pages.shared.glossary import explained, word_list

SECTIONS = {
    "see": ("What you see", ":material/visibility:"),
    "how": ("How it is computed", ":material/function:"),
    "caveat": ("Caveat", ":material/warning:"),
}


def heading(title: str, question: str) -> None:
    """The page's name and, smaller, the question it answers."""
    st.markdown(
        f"### {title} &nbsp;<small style='font-weight:400;opacity:.75'>{question}</small>", unsafe_allow_html=True
    )


def control_bar(widths: Sequence[int], *, whole: int, name: str = "bar") -> list[DeltaGenerator]:
    """Columns for the controls of a page, which stay one row on a telephone.

    There the first `whole` of them keep their words and the others their icon alone.
    """
    place = f"#root .st-key-{name} [data-testid=stColumn]:nth-child"
    hidden = ", ".join(
        f"{place}({number}) [data-testid=stPopoverButton] [data-testid=stMarkdownContainer]"
        for number in range(whole + 1, len(widths) + 1)
    )
    narrow = ", ".join(f"{place}({number})" for number in range(1, whole + 1))
    st.html(
        f"""<style>@media (max-width: 640px) {{
        #root .st-key-{name} [data-testid=stHorizontalBlock] {{ flex-wrap: nowrap; gap: .3rem }}
        #root .st-key-{name} [data-testid=stColumn] {{ min-width: 0 !important; flex: 0 0 2.9rem }}
        #root .st-key-{name} [data-testid=stPopoverButton] {{ padding-left: .4rem; padding-right: .4rem; min-width: 0 }}
        {narrow} {{ flex: 1 1 0 }}
        {hidden} {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }}
        }}</style>"""
    )
    with st.container(key=name):
        return st.columns(widths, vertical_alignment="bottom")


def control_strip(name: str) -> DeltaGenerator:
    """A place for rows of labelled controls, which on a telephone stay one row and move sideways under the finger."""
    return st.container(key=f"strip_{name}")


def form_and_stage(name: str) -> tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]:
    """Places for a form, for the picture beside it, and for what comes below the picture.

    On a telephone the picture is first, then the form, then the rest.
    """
    with st.container(key=f"formed_{name}"):
        form, stage = st.columns([4, 9], gap="large")
    return form, stage.container(key=f"staged_{name}"), stage.container()


@contextmanager
def command_details(
    key: str, title: str = "The same without this page", icon: str | None = ":material/terminal:"
) -> Iterator[bool]:
    """A closed drawer with commands; inside, whether it is open.

    What is in it is drawn only then: Streamlit's code block brings every language that it can colour, a third of a
    second of a laptop's processor before the first chart of a page.
    """
    drawer = st.expander(title, icon=icon, key=key, on_change="rerun")
    with drawer:
        yield bool(drawer.open)


def command_block(command: str) -> None:
    """What somebody copies into a terminal."""
    st.code(command, language="bash", wrap_lines=True)


def page_path(stem: str) -> str:
    """The script of a page, as Streamlit's links and switches want it."""
    return str(CHECKOUT / "pages" / stem / "page.py")


def go_to(stem: str) -> None:
    """Open another page, whose address begins anew.

    With nothing said, Streamlit refuses to empty an address in which a choice of the page that is left is kept.
    """
    st.switch_page(page_path(stem), query_params={})


def page_link(stem: str, label: str, icon: str = "arrow_forward", **query: str) -> None:
    """A link to another page."""
    st.page_link(page_path(stem), label=label, icon=f":material/{icon}:", query_params=query or None)


def accuracy_sentence(name: str) -> str:
    """What was measured on a bundled model, from its card; empty for models of others."""
    card_file = BUNDLED / name / "card.json"
    if not card_file.is_file():
        return ""
    card = read_card(card_file.parent)
    if "test_accuracy" not in card.metrics:
        return ""
    low, high = card.metrics["test_interval_95"]
    return (
        f"{card.metrics['test_accuracy']:.1%} right on {card.metrics['test_count']:,} test images of {card.dataset} "
        f"(95 % interval {low:.1%} to {high:.1%}, seed {card.metrics['seed']})"
    )


def teaching_cards(stem: str, view: str = "") -> None:
    """Three cards under the picture, from the page's `card.md`, or `card_VIEW.md`, and the words that they use."""
    texts = _parse(card_path(stem, view))
    marked, found = explained(texts[name] for name in SECTIONS)
    with st.container(key="teaching_cards"):  # left out while presenting
        for column, text, (title, icon) in zip(st.columns(3), marked, SECTIONS.values(), strict=True):
            with column, st.container(border=True, height="stretch"):
                st.markdown(f"{icon} **{title}**")  # ours: SECTIONS above
                st.markdown(text, unsafe_allow_html=True)  # ours: the cards of the pages
        word_list(found)


def card_path(stem: str, view: str = "") -> Path:
    """Where the text of the cards is, a `## see|how|caveat` heading for each."""
    return CHECKOUT / "pages" / stem / (f"card_{view}.md" if view else "card.md")


@st.cache_data(show_spinner=False)
def _parse(path: Path) -> dict[str, str]:
    parts = path.read_text(encoding="utf-8").split("\n## ")
    return {part.partition("\n")[0].strip(): part.partition("\n")[2].strip() for part in parts[1:]}
