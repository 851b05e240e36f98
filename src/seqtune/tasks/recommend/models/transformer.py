"""A transformer over sequences of items, with one of two objectives.

- cloze (BERT4Rec): it looks at both sides and names the items behind [MASK].
- causal (SASRec with a cross entropy over all items): each item sees those before it only, and
  names the one that follows.

Positions are counted from the end, so that the width of the padding never changes a score.

Shapes: B batch, T time, D hidden, M positions that are asked for.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..dropout import FastDropout
from ..layers import Block, QueryPositions, causal_mask
from ..objectives import TrainingTargets, masked_items, next_items
from .base import PADDING, SequenceModel, Step, in_autocast_type
from .transformer_config import TransformerConfig


class ItemTransformer(SequenceModel[TransformerConfig]):
    """See the module's docstring."""

    def build(self, config: TransformerConfig) -> None:
        hidden = config.hidden_units
        self.is_causal = config.objective == "causal"
        self.positions = nn.Parameter(torch.empty(config.max_len, hidden))
        self.norm = nn.LayerNorm(hidden)
        self.dropout = FastDropout(config.dropout_rate)
        attention_dropout = config.dropout_rate if config.attention_dropout else 0.0
        self.blocks = nn.ModuleList(
            Block(
                hidden,
                config.num_heads,
                dropout=config.dropout_rate,
                attention_dropout=attention_dropout,
                distances=config.max_len if config.relative_positions else 0,
            )
            for _ in range(config.num_layers)
        )

    @torch.no_grad()
    def initialise(self, std: float) -> None:
        super().initialise(std)
        self.positions.normal_(0.0, std)

    def training_targets(self, items: Tensor, generator: torch.Generator) -> TrainingTargets:
        if self.is_causal:
            return next_items(items)
        return masked_items(
            items,
            num_items=self.num_items,
            mask_prob=self.config.random_mask_prob,
            last_item_ratio=self.config.last_item_mask_ratio,
            generator=generator,
        )

    def most_targets(self, time: int) -> float:
        """Of masked items, the mean and three standard deviations."""
        share = self.config.random_mask_prob
        if self.is_causal:
            return time
        return min(float(time), time * share + 3.0 * math.sqrt(time * share * (1.0 - share)))

    def activation_bytes(self, step: Step) -> float:
        drops = self.config.dropout_rate > 0.0
        drops_weights = drops and self.config.attention_dropout
        of_hidden = (50.0 if step.in_half else 80.0) + (4.0 if drops else 0.0)  # of a whole block
        of_weight = 0.0
        if step.on_cpu and (drops_weights or step.in_half):  # attention in pieces keeps its weights
            of_weight = (2.0 if step.in_half else 4.0) + (2.0 if drops_weights else 0.0)
        hidden = step.batch * step.time * self.config.hidden_units
        weights = step.batch * self.config.num_heads * step.time * step.time
        # the last block answers only where it is asked
        blocks = len(self.blocks) - 1 + self.most_targets(step.time) / max(step.time, 1)
        return of_hidden * hidden * (blocks + 0.5) + of_weight * weights * blocks

    @torch.no_grad()
    def attention(self, items: Tensor) -> Tensor:
        items = self.answered_from(items)
        x, (visible, _) = self._inputs(items), self._masks(items)
        weights = []
        block: Any
        for block in self.blocks:
            weights.append(block.attention.weights(x, visible)[0, :, -1])  # [H, T]
            x = block(x, visible).view_as(x)
        return functional.pad(torch.stack(weights), (0, int(self.is_causal)))  # none to [MASK]

    def encode(self, items: Tensor) -> Tensor:
        return self._encode(items, None).view(*items.shape, -1)

    def hidden_at(self, items: Tensor, positions: Tensor) -> Tensor:
        batch, time = items.shape
        if self.is_causal:  # nearly all of them, and each has keys of its own
            return self._encode(items, None).index_select(0, positions)
        return self._encode(items, QueryPositions.of(positions, batch=batch, time=time))

    def last_hidden(self, items: Tensor) -> Tensor:
        batch, time = items.shape
        ends = torch.arange(1, batch + 1, device=items.device) * time - 1
        return self._encode(items, QueryPositions.of(ends, batch=batch, time=time))

    def _encode(self, items: Tensor, wanted: QueryPositions | None) -> Tensor:
        """[B * T, D], or [M, D] where only some positions are wanted: of a causal model, the last
        ones, which may see everything."""
        x, (visible, keys) = self._inputs(items), self._masks(items)
        *first, last = self.blocks
        for block in first:
            x = block(x, visible).view_as(x)
        hidden: Tensor = last(x, visible if wanted is None else keys, wanted)
        return hidden

    def _inputs(self, items: Tensor) -> Tensor:
        """What the first block gets: [B, T, D]."""
        time = items.shape[1]
        if time > self.max_len:
            raise ValueError(f"a sequence of {time} items is longer than max_len={self.max_len}")
        x = self.embed(items) + self.positions[self.max_len - time :]
        if x.device.type == "cpu":  # where norms run in what they get; on a GPU they run in fp32
            x = in_autocast_type(x)
        hidden: Tensor = self.dropout(self.norm(x))
        return hidden

    def _masks(self, items: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What each position may look at, and what the last one may."""
        keys = _visible_keys(items)
        if not self.is_causal:
            return keys, keys
        return causal_mask(keys, time=items.shape[1], device=items.device), keys


def _visible_keys(items: Tensor) -> Tensor | None:
    """Which keys attention may look at: bool [B, 1, 1, T], None where there is no padding.

    The last column counts as visible even in a row of padding only, which would otherwise be a
    softmax over nothing; in any other row it holds an item.
    """
    visible = items != PADDING
    visible[:, -1] = True
    # looking into the values would make the GPU wait
    if items.device.type == "cpu" and bool(visible.all()):
        return None
    return visible[:, None, None, :]
