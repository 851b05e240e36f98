"""Parameters of the transformer, in a separate file so that reading them needs no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seqtune.core.config import OnlyIf, Probability

from .config import Architecture, ModelConfig

CLOZE = OnlyIf("objective", ("cloze",))
CAUSAL = OnlyIf("objective", ("causal",))


class TransformerConfig(ModelConfig):
    """A transformer over items."""

    architecture: Architecture = "transformer"
    objective: Literal["cloze", "causal"] = "cloze"
    """cloze (BERT4Rec): predict masked items from both sides; causal (SASRec): predict the next
    item at every position from those before it."""
    num_heads: Annotated[int, Field(ge=1, le=64)] = 8
    """Attention heads per layer; must divide hidden_units."""
    relative_positions: bool = False
    """Learn an attention bias for each head and distance."""
    absolute_positions: Annotated[bool, OnlyIf("relative_positions", (True,))] = True
    """With relative_positions: learn a vector of each place too, counted from the end."""
    filter_share: Annotated[Probability, CAUSAL] = 0.0
    """causal: share of a learned filter over the last items in what attention gives; it learns
    less by heart than attention does from short histories."""
    attention_dropout: bool = True
    """Apply dropout_rate to attention weights too."""
    random_mask_prob: Annotated[float, Field(gt=0.0, lt=1.0), CLOZE] = 0.15
    """cloze: share of a sequence's items that are masked in training."""
    last_item_mask_ratio: Annotated[float, Field(ge=0.0, le=1.0), CLOZE] = 0.1
    """cloze: share of sequences in which only the last item is masked, as in prediction."""
    mask_replace_prob: Annotated[float, Field(ge=0.0, le=1.0), CLOZE] = 0.8
    """cloze: share of the masked items that [MASK] replaces."""
    random_replace_prob: Annotated[float, Field(ge=0.0, le=1.0), CLOZE] = 0.1
    """cloze: share that a random item replaces; the rest stay as they are."""

    @model_validator(mode="after")
    def _check_num_heads(self) -> Self:
        if self.hidden_units % self.num_heads:
            divisors = [n for n in range(1, 65) if self.hidden_units % n == 0]
            raise ValueError(
                f"num_heads={self.num_heads} does not divide hidden_units={self.hidden_units}; "
                f"choose one of {', '.join(map(str, divisors))}"
            )
        return self

    @model_validator(mode="after")
    def _check_replacement(self) -> Self:
        if (shares := self.mask_replace_prob + self.random_replace_prob) > 1.0:
            raise ValueError(
                f"mask_replace_prob={self.mask_replace_prob} and random_replace_prob="
                f"{self.random_replace_prob} add up to {shares:g}; their sum must be at most 1"
            )
        return self

    @property
    def shortest_sequence(self) -> int:
        return 2 if self.objective == "causal" else 1
