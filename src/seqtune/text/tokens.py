"""Tokenised texts as flat memory-mapped arrays, written once and read a batch at a time.

    ids.npy int32 [N]          tokens of all texts, concatenated, special tokens included
    offsets.npy int64 [R+1]    text r is ids[offsets[r] : offsets[r + 1]]
    lengths.npy int32 [R]      the length of each text without a limit

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
"""Most characters tokenised at a time, unless one text has more."""

Encode = Callable[[Sequence[str]], Sequence[Sequence[int]]]
"""Turns texts into tokens, special ones included, without a limit."""


@dataclass(frozen=True)
class Tokens:
    """The opened arrays."""

    ids: Int32
    offsets: Int64
    full_lengths: Int32  # without the limit

    @classmethod
    def open(cls, folder: Path) -> Tokens:
        names = ("ids.npy", "offsets.npy", "lengths.npy")
        return cls(*(np.load(folder / name, mmap_mode="r") for name in names))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        """Tokens of each text, within the limit [R]."""
        return np.diff(self.offsets)

    def padded(
        self, rows: Int64, *, pad: int, left: bool = False
    ) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """Return padded texts [B, T] and the mask of real tokens [B, T]; T at least 1."""
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
    """Tokenise texts; longer ones are cut to `limit` in front of their last `keep_last` tokens
    (special ones, see `num_closing`)."""
    if limit <= keep_last:
        raise ValueError(f"limit={limit} must be more than the {keep_last} closing tokens")
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
    """Return a function that encodes texts without control tokens inside them.

    A literal "[SEP]" or "</s>" in a text is encoded as characters, or left out where a tokeniser
    (SentencePiece Unigram) has no other encoding of it.
    """
    control = control_tokens(tokenizer)

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
            _remove_control(control, ids, own)
            for ids, own in zip(made["input_ids"], made["special_tokens_mask"], strict=True)
        ]

    return encode


def control_tokens(tokenizer: Any) -> set[int]:
    """Return the tokens that a text cannot contain."""
    added = tokenizer.added_tokens_decoder
    return {number for number, token in added.items() if token.special} - {tokenizer.unk_token_id}


def num_closing(tokenizer: Any) -> int:
    """Count the special tokens that a tokeniser puts after a text; cutting must keep them."""
    own = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return len(own) - 1 - max((n for n, is_special in enumerate(own) if not is_special), default=-1)


def audit(full_lengths: Int32, limit: int) -> dict[str, Any]:
    """Count texts beyond the limit, and the tokens cut; JSON-ready."""
    if not len(full_lengths):
        return {"texts": 0, "limit": limit, "longer": 0, "share": 0.0}
    over = full_lengths[full_lengths > limit]
    quantiles = np.quantile(full_lengths, [0.5, 0.9, 0.95, 0.99, 1.0]).tolist()
    return {
        "texts": len(full_lengths),
        "limit": limit,
        "longer": len(over),
        "share": len(over) / len(full_lengths),
        "tokens_cut": int((over - limit).sum()),
        "lengths": dict(zip(("median", "p90", "p95", "p99", "max"), quantiles, strict=True)),
    }


def cut_ids(ids: Sequence[int], limit: int, keep_last: int) -> Sequence[int]:
    """Cut a text to the limit, in front of its last tokens."""
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


def _remove_control(control: set[int], ids: Sequence[int], own: Sequence[int]) -> Sequence[int]:
    """Remove control tokens that the tokeniser did not add itself (1 in `own`)."""
    if sum(map(control.__contains__, ids)) <= sum(own):
        return ids
    return [i for i, added in zip(ids, own, strict=True) if added or i not in control]
