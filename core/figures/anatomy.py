"""Where a model's parameters are: a tree map by role, and two models as mirrored columns."""

from __future__ import annotations

import plotly.graph_objects as go

from core.figures.theme import BASELINE, CATEGORICAL, finish, ink_on
from core.methods.anatomy.parts import ROLES, Anatomy, Comparison

# Related roles share a hue: attention blues, MLP orange, positions and tokens green, convolutions purple.
ROLE_COLOURS = {
    "query": "#0072B2",
    "key": "#3D9BD1",
    "value": "#56B4E9",
    "output projection": "#0A4C73",
    "lambda": "#D4A017",
    "MLP": "#D55E00",
    "convolution": "#7F5AB6",
    "patch embedding": "#009E73",
    "positional": "#5BC8A5",
    "class token": "#B4E0D0",
    "norm": "#CC79A7",
    "bias": "#E3B5CF",
    "layer scale": "#B06A93",
    "head": "#E69F00",
    "projection": "#F0C55E",
    "token embedding": "#4F7F3A",
    "text tower": "#7BA05B",
    "other": BASELINE,
}

# Of a block, opaque, so that its letters can be read on the light page and on the dark one.
_FRAME = "#5A6370"


def plot_anatomy(anatomy: Anatomy, title: str) -> go.Figure:
    """Blocks, then tensors, each as large as its number of parameters and coloured by role; click to go in."""
    ids, labels, parents, values, colours, notes = (
        [title],
        [title],
        [""],
        [anatomy.total],
        [_FRAME],
        [""],
    )
    groups: dict[str, int] = {}
    titles = {row.part: row.title for row in anatomy.rows}
    for row in anatomy.rows:
        groups[row.part] = groups.get(row.part, 0) + row.parameters
    for part, parameters in groups.items():
        ids.append(part)
        labels.append(titles[part])
        parents.append(title)
        values.append(parameters)
        colours.append(_FRAME)
        notes.append(f"<br>{part}" if part != titles[part] else "")
    for row in anatomy.rows:
        ids.append(f"{row.part}/{row.path}")
        labels.append(row.role)
        parents.append(row.part)
        values.append(row.parameters)
        # The colour is that of the label, as in the bars beside: the text tower has one.
        colours.append(ROLE_COLOURS.get(row.role, BASELINE))
        inner = f"<br>{row.inner_role}" if row.inner_role != row.role else ""
        notes.append(f"{inner}<br>{row.path}<br>{' × '.join(map(str, row.shape)) or 'one number'}")
    figure = go.Figure(
        go.Treemap(
            ids=ids,
            labels=labels,
            parents=parents,
            values=values,
            branchvalues="total",
            marker={"colors": colours, "line": {"width": 1}, "cornerradius": 3},
            customdata=notes,
            maxdepth=3,
            hovertemplate="%{label}: %{value:,} parameters (%{percentRoot:.1%} of all)%{customdata}<extra></extra>",
            texttemplate="%{label}<br>%{percentRoot:.1%}",
            textfont={"color": [ink_on(colour) for colour in colours]},
            tiling={"pad": 2},
        )
    )
    # Letters that would be too small to read stay away: hovering says them.
    figure.update_layout(uniformtext={"minsize": 10, "mode": "hide"})
    return finish(figure, height=560, margin={"l": 0, "r": 0, "t": 4, "b": 0})


def plot_roles(anatomy: Anatomy) -> go.Figure:
    """Parameters by role, in millions: the legend of the tree map that also counts."""
    roles = sorted(anatomy.by_role().items(), key=lambda item: item[1])
    figure = go.Figure(
        go.Bar(
            x=[parameters / 1e6 for _, parameters in roles],
            y=[role for role, _ in roles],
            orientation="h",
            marker_color=[ROLE_COLOURS.get(role, BASELINE) for role, _ in roles],
            text=[f"{parameters / anatomy.total:.1%}" for _, parameters in roles],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f} million<extra></extra>",
        )
    )
    figure.update_xaxes(title="parameters (millions)", range=[0, max(count for _, count in roles) / 1e6 * 1.2])
    return finish(figure, height=560, showlegend=False)


def plot_layers(anatomy: Anatomy) -> go.Figure:
    """Parameters of each block, stacked by role."""
    layers = anatomy.by_layer()
    blocks = [layer for layer in layers if layer is not None]
    figure = go.Figure()
    for role in ROLES:
        counts = [layers[layer].get(role, 0) / 1e6 for layer in blocks]
        if any(counts):
            figure.add_trace(
                go.Bar(
                    x=[layer + 1 for layer in blocks],
                    y=counts,
                    name=role,
                    marker_color=ROLE_COLOURS.get(role, BASELINE),
                )
            )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="block", dtick=1 if len(blocks) < 30 else None)
    figure.update_yaxes(title="parameters (millions)")
    return finish(figure, height=380)


def plot_comparison(comparison: Comparison, first: str, second: str) -> go.Figure:
    """Roles of two models as mirrored bars; roles that differ are full in colour, equal ones faint."""
    pairs = list(reversed(comparison.roles))
    roles = [pair.role for pair in pairs]
    opacity = [1.0 if pair.differs else 0.35 for pair in pairs]
    reach = max(max(pair.first, pair.second) for pair in pairs) / 1e6
    figure = go.Figure()
    for name, values, sign, colour in (
        (first, [pair.first for pair in pairs], -1, CATEGORICAL[0]),
        (second, [pair.second for pair in pairs], 1, CATEGORICAL[1]),
    ):
        figure.add_trace(
            go.Bar(
                x=[sign * value / 1e6 for value in values],
                y=roles,
                orientation="h",
                name=name,
                marker={"color": colour, "opacity": opacity},
                customdata=values,
                text=[f"{value / 1e6:.2f}" if value else "" for value in values],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{y}: %{customdata:,} parameters<extra>%{fullData.name}</extra>",
            )
        )
    ticks = [-reach, -reach / 2, 0, reach / 2, reach]
    figure.update_xaxes(
        title="parameters (millions)",
        range=[-reach * 1.25, reach * 1.25],
        tickvals=ticks,
        ticktext=[f"{abs(tick):.3g}" for tick in ticks],
    )
    return finish(figure, height=120 + 30 * len(pairs), barmode="overlay")
