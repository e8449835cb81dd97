import numpy as np

from core.figures.disagreements import (
    CLASSIFIER_COLOUR,
    CLIP_COLOUR,
    TRUE_COLOUR,
    PictureCard,
    picture_row,
    plot_answers,
    plot_class_tree,
    plot_outcomes,
)
from core.methods.clip.disagreements import class_names, class_tree, find_disagreements

TABBY, GOLDEN, GOLDFISH = 281, 207, 1


def _logits(*best: int) -> np.ndarray:
    logits = np.tile(-np.arange(1000.0), (len(best), 1))
    logits[np.arange(len(best)), best] = 5
    return logits


FOUND = find_disagreements(_logits(TABBY, 5), _logits(GOLDEN, GOLDEN), np.array([TABBY, GOLDEN]), top=1)


def test_all_pictures_are_in_the_bar():
    figure = plot_outcomes(FOUND, "CLIP", "<b>Net</b>")
    assert [trace.x[0] for trace in figure.data] == [0, 50, 50, 0]
    assert "<b>" not in figure.data[2].name


def test_answers_mark_the_truth():
    figure = plot_answers(FOUND.verdicts[0], class_names("openai"), "CLIP", "Net")
    assert figure.data[0].marker.color == (TRUE_COLOUR,)
    assert figure.data[1].marker.color == (CLASSIFIER_COLOUR,)
    assert "golden retriever" in figure.data[1].text[0].lower()


def test_the_tree_is_complete_and_coloured_by_who_said_it():
    verdict = FOUND.verdicts[1]
    nodes = class_tree((GOLDEN, TABBY, 5))
    figure = plot_class_tree(nodes, verdict)
    icicle = figure.data[0]
    assert set(icicle.parents) - {""} <= set(icicle.ids)
    assert sum(icicle.values) == 3
    colours = dict(zip(icicle.ids, icicle.marker.colors, strict=True))
    by_leaf = {node.leaf: colours[node.wnid] for node in nodes if node.leaf is not None}
    assert by_leaf[GOLDEN] == TRUE_COLOUR
    assert by_leaf[5] == CLIP_COLOUR


def test_rows_of_pictures_escape_their_names():
    found = picture_row(
        "Only <CLIP>", CLIP_COLOUR, [PictureCard(pixels=np.zeros((4, 4, 3), np.uint8), shows="a&b", line="x")]
    )
    assert found.count("<img") == 1
    assert "Only &lt;CLIP&gt;" in found
    assert "a&amp;b" in found


def test_every_class_has_a_name_of_its_own():
    for wording in ("wordnet", "openai"):
        names = class_names(wording)
        assert len(names) == 1000
        assert len(set(names)) >= 998  # OpenAI's list says "missile" and "sunglasses" twice
    assert class_names("openai")[134] == "crane bird"
