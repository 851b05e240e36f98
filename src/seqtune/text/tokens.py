"""Texts as numbers: tokenised once to flat memory-mapped arrays, read a batch at a time.

    ids.npy int32 [N]          tokens of all texts, one after another, special tokens included
    offsets.npy int64 [R+1]    text r is ids[offsets[r] : offsets[r + 1]]
    lengths.npy int32 [R]      how long each text would be without a limit

Shapes: R texts, B batch, T time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

CHUNK = 1 << 20
"""Characters that are tokenised at a time, unless one text has more."""

Encode = Callable[[Sequence[str]], Sequence[Sequence[int]]]
"""From texts to their tokens, special ones included, without any limit."""


@dataclass(frozen=True)
class Tokens:
    """Opened arrays."""

    ids: Int32
    offsets: Int64
    full_lengths: Int32
    """Without the limit."""

    @classmethod
    def open(cls, folder: Path) -> Tokens:
        return cls(*(_open(folder, name) for name in ("ids", "offsets", "lengths")))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        """Tokens of each text, within the limit [R]."""
        return np.diff(self.offsets)

    def padded(
        self, rows: npt.NDArray[np.int64], *, pad: int, left: bool = False
    ) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """Padded texts [B, T] and the mask of real tokens [B, T]; T at least 1."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        time = max(1, int(lengths.max(initial=0)))
        steps = np.arange(time)
        shift = (time - lengths)[:, None] if left else np.zeros((len(rows), 1), np.int64)
        within = steps[None, :] - shift  # [B, T]
        real = (within >= 0) & (within < lengths[:, None])
        places = np.where(real, starts[:, None] + within, 0)
        ids = self.ids[places] if len(self.ids) else np.zeros_like(places)
        return np.where(real, ids, pad).astype(np.int64), real


def write_tokens(
    folder: Path, texts: Sequence[str], encode: Encode, *, limit: int, keep_last: int = 1
) -> None:
    """Tokenise texts; longer ones lose what is before their last `keep_last` tokens (special ones,
    see `num_closing`) and beyond the limit."""
    if limit <= keep_last:
        raise ValueError(f"limit={limit} leaves nothing beside {keep_last} closing tokens")
    pieces: list[Int32] = []
    lengths, full = [], []
    for ids in _encoded(texts, encode):
        full.append(len(ids))
        cut = cut_ids(ids, limit, keep_last)
        lengths.append(len(cut))
        pieces.append(np.asarray(cut, np.int32))
    flat = np.concatenate([np.empty(0, np.int32), *pieces])
    np.save(folder / "ids.npy", flat)
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    np.save(folder / "lengths.npy", np.asarray(full, np.int32))


def encoder_of(tokenizer: Any, *, add_special_tokens: bool = True) -> Encode:
    """A tokeniser's encoding of texts, without control tokens in them.

    A literal "[SEP]" or "</s>" in a text is encoded as characters, or left out where a tokeniser
    (SentencePiece Unigram) cannot write it otherwise.
    """
    control = {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    } - {tokenizer.unk_token_id}

    def encode(texts: Sequence[str]) -> Sequence[Sequence[int]]:
        made = tokenizer(
            list(texts),
            add_special_tokens=add_special_tokens,
            split_special_tokens=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
            truncation=False,
            verbose=False,
        )
        return [
            _without(control, ids, own)
            for ids, own in zip(made["input_ids"], made["special_tokens_mask"], strict=True)
        ]

    return encode


def num_closing(tokenizer: Any) -> int:
    """How many tokens of its own a tokeniser puts behind a text; what must survive a cut."""
    own = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return len(own) - 1 - max((place for place, mine in enumerate(own) if not mine), default=-1)


def audit(full_lengths: Int32, limit: int) -> dict[str, Any]:
    """How many texts do not fit, and by how much; JSON-ready."""
    if not len(full_lengths):
        return {"texts": 0, "limit": limit, "longer": 0, "share": 0.0}
    over = full_lengths[full_lengths > limit]
    quantiles = np.quantile(full_lengths, [0.5, 0.9, 0.95, 0.99, 1.0])
    return {
        "texts": len(full_lengths),
        "limit": limit,
        "longer": len(over),
        "share": len(over) / len(full_lengths),
        "tokens_cut": int((over - limit).sum()),
        "lengths": {
            name: float(value)
            for name, value in zip(("median", "p90", "p95", "p99", "max"), quantiles, strict=True)
        },
    }


def cut_ids(ids: Sequence[int], limit: int, keep_last: int) -> Sequence[int]:
    """A text within the limit: what is before its last tokens is cut."""
    return ids if len(ids) <= limit else [*ids[: limit - keep_last], *ids[len(ids) - keep_last :]]


def _encoded(texts: Sequence[str], encode: Encode) -> Iterator[Sequence[int]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        if chunk and size + len(text) > CHUNK:
            yield from encode(chunk)
            chunk, size = [], 0
        chunk.append(text)
        size += len(text)
    if chunk:
        yield from encode(chunk)


def _without(control: set[int], ids: Sequence[int], own: Sequence[int]) -> Sequence[int]:
    """Tokens but for control tokens that are not the tokeniser's own (1 in `own`)."""
    if sum(map(control.__contains__, ids)) <= sum(own):
        return ids
    return [i for i, mine in zip(ids, own, strict=True) if mine or i not in control]


def _open(folder: Path, name: str) -> Any:
    return np.load(folder / f"{name}.npy", mmap_mode="r")
