import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.tokenizer import ASSET, END_ID, PAD, PIECES, START_ID, load_tokenizer, save_tokenizer, train_tokenizer

TOKENIZER = load_tokenizer()


def test_the_bundled_one():
    assert TOKENIZER.get_vocab_size() == PIECES
    found = TOKENIZER.encode("A photo of a Dog.")
    assert found.tokens == ["<start>", "Ġa", "Ġphoto", "Ġof", "Ġa", "Ġdog", ".", "<end>"]
    assert (found.ids[0], found.ids[-1]) == (START_ID, END_ID)
    assert json.loads((ASSET / "tokenizer_config.json").read_text(encoding="utf-8"))["pad_token"] == PAD


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_no_text_of_any_script_is_lost(text):
    encoded = TOKENIZER.encode(text)
    normal = TOKENIZER.normalizer.normalize_str(text)
    assert TOKENIZER.decode(encoded.ids, skip_special_tokens=True).removeprefix(" ") == normal.removeprefix(" ")


@pytest.mark.parametrize("text", ["猫", "кошка", "🐈", "<end>", "  ", ""])
def test_texts_begin_and_end_once(text):
    ids = TOKENIZER.encode(text).ids
    assert ids[0] == START_ID
    assert ids[-1] == END_ID
    assert ids[1:-1].count(START_ID) == 0


def test_training_and_saving(tmp_path):
    trained = train_tokenizer(["a photo of a zebra", "two zebras", "a zebra"] * 5, pieces=300)
    assert "Ġzebra" in trained.encode("a zebra").tokens
    save_tokenizer(trained, tmp_path, context_length=16)
    assert load_tokenizer(tmp_path).encode("a zebra, 猫").ids == trained.encode("a zebra, 猫").ids
