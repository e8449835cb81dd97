"""The classification of the prompts: who is how far behind after how many samples, and at which noise it is decided."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.overlay import to_data_uri
from core.figures.theme import BASELINE, CATEGORICAL, colour_table, finish, spread
from core.methods.diffusion.denoising_view import DenoisingView
from core.methods.diffusion.diffusion_classifier import Classification, excess_error
from core.methods.diffusion.elimination import Pruned

HIGHLIGHTED = 5
MOST_LINES = 40
_MOST_POINTS = 160
# Intervals of fewer samples are wider than the picture.
_FIRST_DRAW = 5
BINS = 10
# Of lines that end further to the right a telephone has no room for more than the name; the table says the rest.
HALF_WAY = 0.6


def plot_classification(classification: Classification, labels: Sequence[str]) -> go.Figure:
    """A line per prompt: how far its error is above the leader's, with 95 % bands; grey once it has been pruned."""
    mean, half_width = (100 * values for values in excess_error(classification))
    order = classification.order()
    shown = order[:MOST_LINES]
    pruned = {each.prompt: each for each in classification.pruned}
    colours = prompt_colours(order)
    figure = go.Figure()
    drawn = classification.samples
    last = {prompt: int(drawn[prompt]) - 1 for prompt in shown}
    first = min(_FIRST_DRAW, classification.step) - 1
    for prompt in reversed(shown):
        samples = np.unique(np.linspace(first, last[prompt], _MOST_POINTS).round().astype(int))
        if last[prompt] < first:
            continue
        gone, colour, name = prompt in pruned, colours.get(prompt, BASELINE), html.escape(labels[prompt])
        if prompt in colours and prompt != classification.predicted:
            edge = np.concatenate([samples, samples[::-1]])
            width = half_width[samples, prompt]
            figure.add_trace(
                go.Scatter(
                    x=edge + 1,
                    y=np.concatenate([mean[samples, prompt] + width, (mean[samples, prompt] - width)[::-1]]),
                    fill="toself",
                    fillcolor=_faint(colour, 0.08 if gone else 0.16),
                    line={"width": 0},
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        figure.add_trace(
            go.Scatter(
                x=samples + 1,
                y=mean[samples, prompt],
                # A line of a single point is nothing to see.
                mode="lines" if len(samples) > 1 else "markers",
                name=short_label(labels[prompt], 24),
                line={
                    "color": colour,
                    "width": 3.5 if prompt == classification.predicted else 2 if prompt in colours else 1,
                },
                opacity=0.55 if gone else 1,
                showlegend=False,
                hovertemplate=f"{name} after %{{x}} samples: %{{y:+.2f}} %<extra></extra>",
            )
        )
        if gone:
            figure.add_trace(_cross(prompt, last[prompt], mean, _why(classification, pruned[prompt]), name))
    named = [prompt for prompt in shown if prompt in colours]
    low, high = _reach(mean, half_width, named, last)
    _name_ends(figure, classification, labels, mean, last, named, colours, high - low)
    figure.update_xaxes(title="samples of noise and time step", range=[0, max(classification.step * 1.32, 12)])
    figure.update_yaxes(title="error above the leader's (%)", range=[low, high])
    return finish(figure, height=500)


def plot_error_by_step(classification: Classification, labels: Sequence[str], steps: int) -> go.Figure:
    """At which noise it is decided: each leading prompt's excess over the winner in ten parts of the schedule.

    `steps`: of the schedule. The errors are those of the classification's objective; bars are ± one standard error.
    """
    order = classification.order()
    colours = prompt_colours(order)
    scores = classification.scores().astype(np.float64)
    part = np.minimum(classification.time_steps * BINS // steps, BINS - 1)
    unit = scores[:, classification.predicted].mean()
    figure = go.Figure()
    for rank, prompt in enumerate(order[: HIGHLIGHTED + 1]):
        differences = 100 * (scores[:, prompt] - scores[:, classification.predicted]) / unit
        x, y, error = [], [], []
        for number in range(BINS):
            found = differences[(part == number) & ~np.isnan(differences)]
            if len(found) > 1:
                x.append(100 * (number + 0.5) / BINS + 0.9 * (rank - HIGHLIGHTED / 2))
                y.append(found.mean())
                error.append(found.std(ddof=1) / np.sqrt(len(found)))
        if prompt == classification.predicted:
            continue
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                error_y={"array": error, "thickness": 1.5, "width": 0},
                mode="lines+markers",
                name=short_label(labels[prompt], 24),
                line={"color": colours.get(prompt, BASELINE), "width": 2},
                marker={"size": 7},
                hovertemplate="%{y:+.2f} %<extra>" + html.escape(labels[prompt]) + "</extra>",
            )
        )
    figure.add_hline(y=0, line={"color": colours[classification.predicted], "width": 3})
    figure.update_xaxes(title="noise: part of the schedule (%)", range=[0, 100])
    figure.update_yaxes(title=f"error above {html.escape(short_label(labels[classification.predicted], 18))}'s (%)")
    return finish(figure, height=360)


def prompt_colours(order: Sequence[int]) -> dict[int, str]:
    """Colours of the leading prompts; each keeps its own however it goes on, as far as there are enough."""
    colours: dict[int, str] = {}
    free = list(CATEGORICAL)
    for prompt in order[:HIGHLIGHTED]:
        wanted = CATEGORICAL[prompt % len(CATEGORICAL)]
        colours[prompt] = wanted if wanted in free else free[0]
        free.remove(colours[prompt])
    return colours


def view_grid(view: DenoisingView, names: Sequence[str]) -> str:
    """HTML: the leading prompts down; what each predicts, what that leaves of the noised picture, and its error."""
    high = float(view.error.max()) or 1.0
    cells = [
        _cell(view.original, "the picture, as its latent keeps it"),
        _cell(view.noised, f"noised: {view.signal:.0%} picture"),
        _cell(view.noise, "the noise"),
        "<div></div>",
    ]
    for row, name in enumerate(names):
        heat = colour_table()[(np.clip(view.error[row] / high, 0, 1) * 255).round().astype(int)]
        error = float(view.error[row].mean())
        cells += [
            f"<div class='name'>“{html.escape(short_label(name, 28))}”</div>",
            _cell(view.reconstructed[row], "what it makes of it"),
            _cell(view.predicted[row], "noise predicted"),
            _cell(heat, f"error {error:.4f}"),
        ]
    style = (
        "<style>.denoise{display:grid;grid-template-columns:repeat(4,1fr);gap:8px;align-items:center}"
        ".denoise img{width:100%;image-rendering:pixelated;border-radius:4px;display:block}"
        ".denoise figure{margin:0}.denoise figcaption{font-size:.8rem;line-height:1.2;opacity:.8;margin-top:2px}"
        ".denoise .name{font-weight:600;overflow-wrap:anywhere}</style>"
    )
    return f"{style}<div class='denoise'>{''.join(cells)}</div>"


def _cell(pixels: np.ndarray, caption: str) -> str:
    return (
        f"<figure><img src='{to_data_uri(pixels)}' alt='{html.escape(caption, quote=True)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _cross(prompt: int, place: int, mean: np.ndarray, why: str, name: str) -> go.Scatter:
    return go.Scatter(
        x=[place + 1],
        y=[mean[place, prompt]],
        mode="markers",
        marker={"symbol": "x", "size": 8, "color": BASELINE},
        showlegend=False,
        hovertemplate=f"{name} left after {place + 1} samples, {why}<extra></extra>",
    )


def _why(classification: Classification, gone: Pruned) -> str:
    """Why a prompt left, in a few words."""
    if gone.p_value is None:
        return "at the end of a stage"
    if classification.expected is not None:
        return f"chance {gone.p_value:.1%}" if gone.p_value >= 5e-4 else "chance below 0.05%"
    return f"p = {gone.p_value:.1g}"


def _name_ends(
    figure: go.Figure,
    classification: Classification,
    labels: Sequence[str],
    mean: np.ndarray,
    last: dict[int, int],
    named: Sequence[int],
    colours: dict[int, str],
    reach: float,
) -> None:
    """The names of the leading prompts at the ends of their lines, those of pruned ones smaller.

    Args:
        reach: the height of the plot, in per cent as on its axis.
    """
    pruned = {each.prompt: each for each in classification.pruned}
    heights = spread([float(mean[last[prompt], prompt]) for prompt in named], 0.045 * reach)
    for prompt, height in zip(named, heights, strict=True):
        text = html.escape(short_label(labels[prompt], 18))
        gone = pruned.get(prompt)
        if gone is not None:
            text += " ×"
            if gone.p_value is not None and last[prompt] < classification.step * HALF_WAY:
                text += f" {_why(classification, gone).replace(' = ', '=')}"
        figure.add_annotation(
            x=last[prompt] + 1,
            y=height,
            text=text,
            font={"color": colours[prompt], "size": 14 if gone is None else 12},
            xanchor="left",
            xshift=8,
            showarrow=False,
        )


def _reach(mean: np.ndarray, half_width: np.ndarray, shown: Sequence[int], last: dict[int, int]) -> tuple[float, float]:
    """The axis: all ends, and what fits of the wide beginnings."""
    ends = [mean[last[prompt], prompt] for prompt in shown]
    widths = [half_width[last[prompt], prompt] for prompt in shown if np.isfinite(half_width[last[prompt], prompt])]
    high = max(max(ends) + max(widths, default=0.0), 0.1)
    low = min(min(ends) - 0.5 * max(widths, default=0.0), -0.15 * high)
    return 1.1 * low, 1.1 * high


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
