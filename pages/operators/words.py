"""What the Operators page says: equations with terms to point at, stories, findings.

Equations are HTML of our own for the browser component; everything else is plain text.
"""

from __future__ import annotations

from core.methods.operators.identity_trap import IdentityTrap
from core.methods.operators.layer import OperatorLayer
from core.methods.operators.mixer_results import MixerResult, MixerResults
from core.shares import counted

TERMS = {
    "none": "Point at a term, a slider or a row: what belongs together lights up. Click a picture to ask another "
    "position; click a title to see that operator step by step.",
    "y": "y: what goes out at position i. The first row shows it read back into colours.",
    "v": "v: the values, what is mixed. A row of small maps, one for each channel; red is above 0, blue below.",
    "w": "w: the kernel, one weight for each offset i − j, the same at every position. At weight 0 both combinations "
    "are attention alone.",
    "A": "A: how much of position j goes into position i. Rows sum to 1, except where a kernel is added after the "
    "softmax.",
    "s": "q·k: how much what j offers, its key, resembles what i asks for, its query.",
    "q": "q: what is convolved in the place of an attention matrix.",
    "T": "T: the temperature divides similarities before the softmax. High: everything is read alike. Low: only the "
    "most similar, often i itself. The two operators without a softmax between positions do not have it.",
    "L": "L(i): the window of i, as far as the kernel reaches.",
    "softmax": "softmax: exponentials divided by their sum. Over what it runs is written under it.",
    "field": "Receptive field: how much y at i changes with the input at every position, measured by gradient. Right: "
    "what the definition lets it read.",
}
ROWS = {
    "y": "RMS: its true size.",
    "v": "Of what goes in; of what comes out.",
    "A": "What i weighs everything by.",
    "field": "Measured, and what the definition allows.",
}


def _term(name: str, text: str) -> str:
    return f'<span data-term="{name}">{text}</span>'


_Y, _V = _term("y", "<i>y</i><sub>i</sub>"), _term("v", "<i>v</i><sub>j</sub>")
_VI, _W = _term("v", "<i>v</i><sub>i</sub>"), _term("w", "<i>w</i><sub>i−j</sub>")
_A, _S = _term("A", "<i>A</i><sub>ij</sub>"), _term("s", "<i>q</i><sub>i</sub>·<i>k</i><sub>j</sub>")
_T, _ALL = _term("T", "<i>T</i>"), "Σ<sub>j</sub>"
_INSIDE = "Σ" + _term("L", "<sub>j∈L(i)</sub>")


def equation(layer: OperatorLayer) -> str:
    """The definition in one line, as it is computed with the layer's choices."""
    if layer.operator == "convolution":
        return f"{_Y} = {_INSIDE} {_W} ⊙ {_V}"
    if layer.operator == "attention":
        return f"{_Y} = {_ALL} {_A} {_V}"
    if layer.operator == "post":
        return f"{_Y} = {_ALL} ({_A} + {_W}) {_V}"
    if layer.operator == "pre":
        over = _term("L", "L(i)") if layer.outside == "excluded" else "j"
        return f"{_Y} = {_ALL} {_term('softmax', f'softmax<sub>{over}</sub>')}({_S} / {_T} + {_W}) {_V}"
    if layer.operator == "attention_modulated_convolution":
        return f"{_Y} = {_INSIDE} {_W} ⊙ {_A} {_V}"
    return f"{_Y} = {_modulation(layer)}<sub>i</sub> ⊙ {_VI}"


def formula(layer: OperatorLayer) -> str:
    """The equation and what its A is."""
    where = {
        "attention": "j",
        "post": "j",
        "attention_modulated_convolution": "j∈L(i)" if layer.window == "renormalised" else "j",
    }
    if layer.operator not in where:
        return equation(layer)
    softmax = _term("softmax", f"softmax<sub>{where[layer.operator]}</sub>")
    return f"{equation(layer)}, &nbsp; {_A} = {softmax}({_S} / {_T})"


def _modulation(layer: OperatorLayer) -> str:
    inner = f"({_term('w', '<i>w</i>')} ∗ {_term('q', '<i>q</i>')})"
    if layer.activation == "gelu":
        inner = f"gelu{inner}"
    if layer.modulation == "none":
        return inner
    over = "space" if layer.axis == "space" else "channels"
    scaled = {"space": "N·", "channels": "C·"}[over] if layer.modulation == "softmax_rescaled" else ""
    return f"{scaled}{_term('softmax', f'softmax<sub>{over}</sub>')}[{inner}]"


def story(layer: OperatorLayer) -> str:
    """What the operator does, in two sentences, with its choices."""
    if layer.operator == "convolution":
        return (
            "Every channel has its own kernel, and every position reads its neighbours with the same weights: what "
            "is read does not depend on what is there."
        )
    if layer.operator == "attention":
        return "Every position reads all others by how similar they are: it knows what is there and not where."
    if layer.operator == "post":
        return (
            "The kernel is added after the softmax: similarity and place each have their say, and the weights of a "
            "position sum to 1 + Σ w instead of 1."
        )
    if layer.operator == "pre":
        beyond = "what lies outside is not read" if layer.outside == "excluded" else "outside similarity alone decides"
        return (
            f"The kernel is added inside the softmax, where it multiplies: place reweights similarity; {beyond}. "
            "This is the form that CoAtNet uses."
        )
    if layer.operator == "attention_modulated_convolution":
        over = (
            "made to sum to 1 within the window" if layer.window == "renormalised"
            else "a softmax over all positions, of which the window sees a share"
        )  # fmt: skip
        return f"A convolution whose taps attention turns up and down; A is {over}. This project’s definition."
    plain = {
        "none": "as it is, Conv2Former’s plain product",
        "softmax": f"through a softmax over {layer.axis}, which shrinks what goes out",
        "softmax_rescaled": f"through a softmax over {layer.axis}, multiplied by the length of that axis again",
    }
    return (
        f"A convolution in the place of the attention matrix multiplies the values, {plain[layer.modulation]}: "
        "cheap, because no two positions are compared."
    )


def choices_sentence(layer: OperatorLayer) -> str:
    """The choices that the equations leave open, as they are now."""
    beyond = "nothing lies beyond the border" if layer.padding == "zero" else "borders continue on the other side"
    window = "over the window" if layer.window == "renormalised" else "over all positions"
    outside = "leaves what is outside the kernel to similarity" if layer.outside == "zero" else "reads the window alone"
    modulation = {
        "none": "the plain product",
        "softmax": f"a softmax over {layer.axis}",
        "softmax_rescaled": f"a softmax over {layer.axis}, rescaled",
    }[layer.modulation]
    gelu = " after a GELU" if layer.activation == "gelu" else ""
    return (
        f"Chosen: {beyond}; attention in convolution is a softmax {window}; pre {outside}; convolution as attention is "
        f"{modulation}{gelu}."
    )


def trap_sentence(now: dict[str, IdentityTrap], temperature: float) -> str:
    """What stays on the diagonal at the temperature of the slider; `now`: curves at this one temperature, by name."""
    kept = {name: float(curve.diagonal[0]) for name, curve in now.items()}
    caught = [name for name, share in kept.items() if share > 0.5]
    said = "; ".join(
        f"{name} {_percent(share)} (all alike: {_percent(now[name].uniform)})" for name, share in kept.items()
    )
    verdict = (
        f"Mostly the identity: attention {' and '.join(caught)}."
        if caught
        else "At this temperature no attention here is mostly the identity."
    )
    return f"{verdict} At temperature {temperature:g} a position keeps for itself: {said}."


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def mixers_sentence(results: MixerResults) -> str:
    """Who is ahead, and whether the intervals can tell."""
    ranked = sorted(results.rows, key=lambda row: -row.accuracy)
    best, last = ranked[0], ranked[-1]
    apart = best.interval[0] > last.interval[1]
    tell = "their intervals do not overlap" if apart else "their intervals overlap"
    if best is last:
        return f"{best.title}: {best.accuracy:.1%}."
    return f"{best.title} is ahead with {best.accuracy:.1%}, {last.title} last with {last.accuracy:.1%}; {tell}."


def mixers_caption(results: MixerResults) -> str:
    """How the table came to be."""
    rows = results.rows
    seeds = sorted({row.seeds for row in rows})
    counts = " or ".join(str(count) for count in seeds)
    means = "over seeds (Student’s t)" if seeds[0] > 1 else "of one seed, over its images (Wilson)"
    parts = " and ".join(sorted({_split(row) for row in rows}))
    return (
        f"{counts} {'seed' if seeds == [1] else 'seeds'} each, {parts}. Intervals: 95 % {means}. Images a second on "
        f"{results.device}. Measured {results.date}: {results.command}"
    )


def _split(row: MixerResult) -> str:
    return f"{counted(row.images, f'{row.split} image')}"
