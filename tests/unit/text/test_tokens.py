"""Texts as numbers: cut, padded, and free of control tokens that a user typed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtune.text.pretrained import load_tokenizer
from seqtune.text.tokens import Tokens, audit, encoder_of, num_closing, write_tokens
from tiny_models import MAKERS


def letters(texts: Sequence[str]) -> list[list[int]]:
    """[1, letters ..., 2]"""
    return [[1, *map(ord, text), 2] for text in texts]


def tokens_of(folder: Path, texts: Sequence[str], limit: int = 100, **options: Any) -> Tokens:
    write_tokens(folder, texts, letters, limit=limit, **options)
    return Tokens.open(folder)


def made(texts: Sequence[Sequence[int]]) -> Tokens:
    lengths = np.array([len(text) for text in texts], np.int64)
    flat = np.array([i for text in texts for i in text], np.int32)
    return Tokens(flat, np.concatenate([[0], lengths.cumsum()]), lengths.astype(np.int32))


class TestPadded:
    @given(
        texts=st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=6), min_size=1, max_size=6),
        data=st.data(),
        pad=st.integers(0, 9),
        left=st.booleans(),
    )
    def test_as_a_loop_would_do_it(
        self, texts: list[list[int]], data: st.DataObject, pad: int, left: bool
    ) -> None:
        rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=8))
        width = max([1, *(len(texts[row]) for row in rows)])
        gaps = [width - len(texts[row]) for row in rows]
        ids = [
            [pad] * gap + texts[row] if left else texts[row] + [pad] * gap
            for row, gap in zip(rows, gaps, strict=True)
        ]
        real = [
            [False] * gap + [True] * (width - gap)
            if left
            else [True] * (width - gap) + [False] * gap
            for gap in gaps
        ]
        found = made(texts).padded(np.array(rows, np.int64), pad=pad, left=left)

        assert found[0].tolist() == ids
        assert found[1].tolist() == real
        assert found[0].dtype == np.int64

    def test_no_rows_and_empty_texts(self) -> None:
        ids, real = made([[]]).padded(np.array([0, 0]), pad=3)
        assert ids.tolist() == [[3], [3]]
        assert not real.any()
        assert made([[1]]).padded(np.empty(0, np.int64), pad=3)[0].shape == (0, 1)

    def test_reading_a_row_takes_microseconds(self, tmp_path: Path) -> None:
        tokens = tokens_of(tmp_path, ["x" * (n % 40) for n in range(20_000)])
        batches = np.random.default_rng(0).integers(0, len(tokens), (200, 64))
        best = min(_seconds(tokens, batches) for _ in range(3)) / batches.size
        assert best < 10e-6  # 1 us on a quiet machine


class TestWriting:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        tokens = tokens_of(tmp_path, ["ab", "", "가"])
        assert len(tokens) == 3
        assert tokens.ids.tolist() == [1, 97, 98, 2, 1, 2, 1, ord("가"), 2]
        assert tokens.lengths.tolist() == tokens.full_lengths.tolist() == [4, 2, 3]
        assert isinstance(tokens.ids, np.memmap)

    def test_a_cut_keeps_the_closing_token(self, tmp_path: Path) -> None:
        tokens = tokens_of(tmp_path, ["abcdef", "ab"], limit=4)
        assert tokens.ids.tolist() == [1, 97, 98, 2, 1, 97, 98, 2]
        assert tokens.full_lengths.tolist() == [8, 4]

    def test_a_cut_where_nothing_closes(self, tmp_path: Path) -> None:
        tokens = tokens_of(tmp_path, ["abcdef"], limit=4, keep_last=0)
        assert tokens.ids.tolist() == [1, 97, 98, 99]

    def test_a_limit_that_leaves_nothing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="limit=1 must be more than the 1 closing"):
            tokens_of(tmp_path, ["abc"], limit=1)

    def test_no_texts(self, tmp_path: Path) -> None:
        tokens = tokens_of(tmp_path, [])
        assert len(tokens) == 0
        assert audit(tokens.full_lengths, 10) == {
            "texts": 0,
            "limit": 10,
            "longer": 0,
            "share": 0.0,
        }

    def test_many_texts_go_in_chunks_and_keep_their_order(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("seqtune.text.tokens.CHUNK", 10)
        texts = ["abc", "x" * 25, "", "defghij", "k"]
        calls: list[list[str]] = []

        def encode(chunk: Sequence[str]) -> list[list[int]]:
            calls.append(list(chunk))
            return letters(chunk)

        write_tokens(tmp_path, texts, encode, limit=100)
        tokens = Tokens.open(tmp_path)
        assert calls == [["abc"], ["x" * 25], ["", "defghij", "k"]]
        assert tokens.full_lengths.tolist() == [len(text) + 2 for text in texts]

    def test_a_token_beyond_32_bits_is_no_other_token(self, tmp_path: Path) -> None:
        with pytest.raises(OverflowError):
            write_tokens(tmp_path, ["a"], lambda texts: [[2**31]], limit=5)


def test_audit_counts_what_does_not_fit() -> None:
    counts = audit(np.array([1, 5, 10, 12], np.int32), 5)
    assert (counts["longer"], counts["share"], counts["tokens_cut"]) == (2, 0.5, 12)
    assert counts["lengths"]["median"] == 7.5
    assert counts["lengths"]["max"] == 12.0


class TestTokeniser:
    @pytest.mark.parametrize("kind", MAKERS)
    def test_control_tokens_in_a_text_are_text(self, models: dict[str, Path], kind: str) -> None:
        tokenizer = load_tokenizer(models[kind])
        control = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        typed = [f"a {token} b{token}" for token in tokenizer.all_special_tokens]
        typed += ["[SEP] </s> <s> <usr> <|end|>", "<pad>" * 3, "[MASK]"]
        frame = [i for i in encoder_of(tokenizer)([""])[0] if i in control]
        for ids in encoder_of(tokenizer)(typed):
            assert [i for i in ids if i in control] == frame
            assert max(ids) < len(tokenizer)
        for ids in encoder_of(tokenizer, add_special_tokens=False)(typed):
            assert not control & set(ids)

    @pytest.mark.parametrize("kind", ["roberta", "kobart", "llama"])
    def test_byte_level_ones_keep_them_letter_by_letter(
        self, models: dict[str, Path], kind: str
    ) -> None:
        tokenizer = load_tokenizer(models[kind])
        text = "a </s> <usr> <|end|> b"
        (ids,) = encoder_of(tokenizer, add_special_tokens=False)([text])
        assert tokenizer.decode(ids) == text

    def test_tokens_that_were_added_stay_whole(self, models: dict[str, Path]) -> None:
        tokenizer = load_tokenizer(models["kobart"])
        tokenizer.add_tokens(["#Person1#"])
        (ids,) = encoder_of(tokenizer)(["#Person1#: hello"])
        assert ids[0] == len(tokenizer) - 1

    def test_a_tokeniser_that_cannot_write_them_otherwise_leaves_them_out(self) -> None:
        """The Unigram of SentencePiece finds "</s>" among its own pieces."""
        tokenizer = unigram_tokenizer()
        plain = tokenizer("a</s>b", split_special_tokens=True)["input_ids"]
        assert plain == [3, 1, 4, 1]  # the one in the middle was typed
        assert encoder_of(tokenizer)(["a</s>b", "ab"]) == [[3, 4, 1], [3, 4, 1]]

    @pytest.mark.parametrize(
        ("kind", "count"), [("electra", 1), ("roberta", 1), ("kobart", 0), ("llama", 0)]
    )
    def test_closing_tokens(self, models: dict[str, Path], kind: str, count: int) -> None:
        assert num_closing(load_tokenizer(models[kind])) == count

    @pytest.mark.parametrize("kind", MAKERS)
    def test_very_long_and_very_short_texts(
        self, models: dict[str, Path], tmp_path: Path, kind: str
    ) -> None:
        tokenizer = load_tokenizer(models[kind])
        texts = ["x" * 100_000, "가 " * 50_000, "?!" * 50_000, "a", "가", "\u200b", "😀", ""]
        begun = time.perf_counter()
        keep = num_closing(tokenizer)
        write_tokens(tmp_path, texts, encoder_of(tokenizer), limit=64, keep_last=keep)
        assert time.perf_counter() - begun < 5
        tokens = Tokens.open(tmp_path)
        assert tokens.lengths.max() <= 64
        assert len(tokens) == len(texts)
        if keep:
            ends = tokens.ids[tokens.offsets[1:] - 1]
            assert set(ends.tolist()) <= {tokenizer.sep_token_id, tokenizer.eos_token_id}

    def test_no_warning_about_length(
        self, models: dict[str, Path], capfd: pytest.CaptureFixture[str]
    ) -> None:
        encoder_of(load_tokenizer(models["roberta"]))(["word " * 5000])
        assert capfd.readouterr() == ("", "")


def unigram_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [("<unk>", 0.0), ("</s>", 0.0), ("<pad>", 0.0), ("a", -1.0), ("b", -1.0)]
    tokenizer = Tokenizer(models.Unigram([*pieces, *((c, -9.0) for c in "</s>")], unk_id=0))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast: Any = PreTrainedTokenizerFast
    names = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return fast(tokenizer_object=tokenizer, **names)


def _seconds(tokens: Tokens, batches: np.ndarray) -> float:
    begun = time.perf_counter()
    for rows in batches:
        tokens.padded(rows, pad=0)
    return time.perf_counter() - begun
