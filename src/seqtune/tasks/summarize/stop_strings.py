"""End a generated text in front of a stop string, beside the model's own end token.

The criterion of transformers prepares all tokens of the vocabulary at every call, which takes
seconds for 262 144 of them. This one decodes what was written.
Shapes: B batch, W tokens of prompt and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class StopStrings:
    """A stopping criterion: whether the text after the prompt holds a stop string."""

    tokenizer: Any
    stop_strings: Sequence[str]
    started: int
    """Tokens before the text."""

    def __call__(self, input_ids: Tensor, _scores: Any, **_options: Any) -> Tensor:
        """Return a mask [B] of the rows [B, W] that are done."""
        texts = self.tokenizer.batch_decode(
            input_ids[:, self.started :],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        found = [has_stop(text, self.stop_strings) for text in texts]
        return torch.tensor(found, dtype=torch.bool, device=input_ids.device)


def before_stop(text: str, stop_strings: Sequence[str]) -> str:
    """Return a text, without the space that it begins with, in front of its first stop string."""
    text = text.lstrip()
    places = (text.find(stop) for stop in stop_strings)
    return text[: min((place for place in places if place >= 0), default=None)]


def has_stop(text: str, stop_strings: Sequence[str]) -> bool:
    """Whether a text has a stop string behind the space that it begins with."""
    return any(stop in text.lstrip() for stop in stop_strings)
