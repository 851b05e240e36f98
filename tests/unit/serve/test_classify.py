"""Texts are cleaned and cut into tokens as they are in training."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from seqtune.text.pretrained import load_tokenizer
from seqtune.text.rows import Cleaner
from seqtune.text.tokens import control_tokens, cut_ids, encoder_of, num_closing
from seqtune_serve.classify import Encoder, clean
from tiny_models import MAKERS

TEXTS = (
    "bread and ball",
    "  a\r\nb\u2028c\x0b d\x00\ufeff ",
    "한국어 글\u1112\u1161\u11ab",
    "before [SEP] after </s> <s> [CLS] [MASK] [PAD] <pad>",
    "",
    "more words than the limit allows " * 5,
    "\ud800 half a pair",
)
LIMIT = 12


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_cleaned_as_for_training(text: str) -> None:
    assert clean(text, 40) == Cleaner("texts", 40)(text)


@pytest.mark.parametrize("kind", ["electra", "roberta"])
def test_tokens_are_those_of_training(kind: str, tmp_path: Path) -> None:
    trained = load_tokenizer(MAKERS[kind](tmp_path / kind, TEXTS[:3]))
    trained.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    served = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    served.encode_special_tokens = True
    encoder = Encoder(served, LIMIT, num_closing(trained), frozenset(control_tokens(trained)), 0)
    texts = [clean(text, 200) for text in TEXTS]

    expected = [cut_ids(ids, LIMIT, num_closing(trained)) for ids in encoder_of(trained)(texts)]
    assert encoder(texts) == [list(ids) for ids in expected]
