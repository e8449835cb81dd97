"""A photo painted in the style of another picture, before one's eyes: content, style, and what grows out of both."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.figures.style_transfer import plot_style_losses
from core.figures.theme import Figure
from core.methods.style_transfer.networks import STYLE_ROWS
from core.methods.style_transfer.pictures import style_notes
from core.methods.style_transfer.transfer import StyleSettings, Transfer
from pages.shared.charts import chart_table
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.layout import control_bar, heading, page_link, teaching_cards
from pages.shared.pickers import image_picker, model_picker
from pages.shared.recipes import filled_recipe, picture_setting
from pages.style.settings_form import more_steps, read_settings
from pages.style.transfers import (
    STAGES,
    Film,
    TransferRequest,
    is_finished,
    known_film,
    network_of,
    pictures_of,
    run_transfer,
    settings_of,
)
from pages.style.words import headline, network_sentence, progress_words

STOPPED = "stopped_transfer"
# Seconds between two pictures: sent faster than they are drawn, they pile up in the browser.
_FRAME = 0.5


def losses_figure(transfer: Transfer, settings: StyleSettings) -> Figure:
    """The two curves, and thinner those of the layers."""
    layers = {
        name: transfer.style[:, place, 0] / max(transfer.style_of_content[place, 0], 1e-30)
        for place, name in enumerate(settings.style_layers)
    }
    return plot_style_losses(
        transfer.content_share[:, 0],
        transfer.style_share(settings.layer_weights)[:, 0],
        steps=transfer.steps,
        layers=layers,
    )


def draw(
    film: Film, said: StyleSettings, shown: DeltaGenerator, headlined: DeltaGenerator, chart: DeltaGenerator
) -> None:
    """The picture and its curves as they are now."""
    after = f"After {film.transfer.step:,} steps"
    shown.image(film.picture, width="stretch", caption=after, alt=f"{after}: the content painted in the style.")
    headlined.markdown(f"#### {plain(headline(film.transfer, said))}")
    chart.plotly_chart(
        losses_figure(film.transfer, said),
        width="stretch",
        # No key: the chart in this place is redrawn, where another key would make the browser begin a new one.
        alt="Losses of content and style over the steps; the exported table has the figures.",
    )


def live(request: TransferRequest) -> Film | None:
    """Content, style, and the result while it grows, and as it ended."""
    what, paint = pictures_of(request, content, style)
    said = settings_of(request)
    places[0].image(what, width="stretch", caption=f"Content: {plain(content.title)}", alt=content.title)
    places[1].image(paint, width="stretch", caption=f"Style: {plain(style.title)}", alt=style.title)
    shown = places[2].empty()
    left, right = st.columns([3, 4], gap="large")
    chart, strip = left.empty(), right.empty()
    film, stopped = known_film(request), st.session_state.get(STOPPED) == request
    if not stopped and not is_finished(film, request):
        with below.container():
            wide, narrow = st.columns([5, 1], vertical_alignment="center")
            bar = wide.progress(0.0, text="Reading both pictures …")
            narrow.button("Stop", key="stop_transfer", on_click=_stop, args=(request,), width="stretch")
        began, first, drawn = time.monotonic(), None, 0.0
        with closing(run_transfer(request, content, style)) as films:
            for film in films:
                now = film.transfer
                first = now.step if first is None else first
                words = progress_words(now, time.monotonic() - began, now.step - first)
                bar.progress(now.step / now.steps, text=words)
                if time.monotonic() - drawn > _FRAME and not now.finished:
                    drawn = time.monotonic()
                    draw(film, said, shown, headlined, chart)
        below.empty()
    if film is None:
        headlined.info("Stopped before the first step.", icon=":material/pause:")
        below.button("Go on", key="resume_transfer", on_click=_go_on, type="primary")
        return None
    draw(film, said, shown, headlined, chart)
    with left:
        chart_table(
            losses_figure(film.transfer, said), key="losses", title="Losses of content and style over the steps"
        )
    with below.container():
        wide, narrow = st.columns([5, 1], vertical_alignment="center")
        if is_finished(film, request):
            wide.caption(f"{film.transfer.step:,} steps in {film.transfer.seconds:.1f} s.")
            narrow.button("100 more steps", key="more_steps", on_click=more_steps, args=(100,), width="stretch")
        else:
            wide.info(
                f"Stopped after {film.transfer.step:,} of {request.settings.steps:,} steps.", icon=":material/pause:"
            )
            narrow.button("Go on", key="resume_transfer", on_click=_go_on, type="primary", width="stretch")
    with strip.container():
        show_stages(film)
    return film


def show_stages(film: Film) -> None:
    """How it looked on the way."""
    st.markdown("**On the way**")
    stages = dict(list(film.stages.items())[-4:])
    for column, (step, picture) in zip(st.columns(4), stages.items(), strict=False):
        column.image(picture, width="stretch", caption=f"Step {step:,}", alt=f"The picture after {step:,} steps.")


def _stop(request: TransferRequest) -> None:
    st.session_state[STOPPED] = request


def _go_on() -> None:
    st.session_state.pop(STOPPED, None)


def make_export(request: TransferRequest, film: Film) -> Export:
    """What is on the screen."""
    transfer, said = film.transfer, settings_of(request)
    what, paint = pictures_of(request, content, style)
    left, away = transfer.style_share(said.layer_weights)[:, 0], transfer.content_share[:, 0]
    losses = {"content": transfer.content[:, 0], "style left": left, "content away": away}
    losses |= {f"style {name}": transfer.style[:, place, 0] for place, name in enumerate(said.style_layers)}
    network = network_of(request.network)
    return Export(
        stem="style",
        recipe=filled_recipe(
            "style",
            network=request.network,
            content=picture_setting(request.content, "content"),
            style=picture_setting(request.style, "style"),
            side=request.side,
            settings=asdict(said),
            stages=[step for step in STAGES if step <= said.steps],
        ),
        pictures={
            "result": film.picture,
            "content": what,
            "style": paint,
            **{f"step_{step}": picture for step, picture in film.stages.items()},
        },
        figures={"losses": losses_figure(transfer, said)},
        table=pd.DataFrame({"step": range(transfer.step + 1), **losses}),
        facts={
            "network": network.title,
            "network_note": network.row.note,
            "content": request.content,
            "content_sha256": request.content_digest,
            "style": request.style,
            "style_sha256": request.style_digest,
            "side": request.side,
            "settings": asdict(said),
            "steps_done": transfer.step,
            "seconds": transfer.seconds,
            "finding": headline(transfer, said),
        },
    )


def in_a_row(count: int) -> list[DeltaGenerator]:
    """So many places side by side; on a phone two, and what is left below them."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    return [row.container(key=f"style_place_{count}_{place}") for place in range(count)]


heading("Style transfer", "What is in one picture, painted like another")
bar = control_bar([3, 3, 3, 2, 2], whole=3)
with bar[0]:
    content = image_picker(name="content", default="example:cat", label="Content")
with bar[1]:
    style = image_picker(name="style", default="painted:swirl", label="Style", paintings=True)
with bar[2]:
    network = model_picker(None, name="features", preferred=tuple(STYLE_ROWS), only=tuple(STYLE_ROWS))
film, request = None, None
with guard():
    headlined, places, below, controls = st.empty(), in_a_row(3), st.empty(), st.container()
    with controls:
        choices = bar[3].popover("Choices", icon=":material/tune:", width="stretch")
        side, settings = read_settings(network_of(network), choices)
    request = TransferRequest(network, content.key, style.key, content.digest, style.digest, side, settings)
    for note in style_notes(content.image, style.image, side):
        st.info(plain(note), icon=":material/info:")
    film = live(request)
    words, link = st.columns([5, 2], vertical_alignment="center")
    words.caption(plain(network_sentence(network_of(network))))
    with link:  # an upload has no address that a run could open
        known = style.key.partition(":")[0] in ("painted", "example")
        page_link(
            "train",
            "Paint a whole data set",
            "brush",
            recipe="stylise",
            **({"set": f"style={style.key}"} if known else {}),
        )
if film is not None and request is not None:
    with bar[4]:
        export_popover(partial(make_export, request, film), key="export")
teaching_cards("style")
