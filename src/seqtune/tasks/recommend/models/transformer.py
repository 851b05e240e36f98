"""A transformer over item sequences with one of two objectives.

- cloze (BERT4Rec): predict masked items from both sides.
- causal (SASRec with cross entropy over all items): predict each next item from those before it.

Positions are counted from the end, so that the width of the padding never changes a score.

Shapes: B batch, T time, D hidden, M target positions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..objectives import Replacement, TrainingTargets, masked_items, next_items
from .base import PADDING, SequenceModel, Step, in_autocast_type
from .layers.dropout import FastDropout
from .layers.transformer_block import Block, QueryPositions, causal_mask
from .transformer_config import TransformerConfig


class ItemTransformer(SequenceModel[TransformerConfig]):
    def build(self, config: TransformerConfig) -> None:
        hidden = config.hidden_units
        self.is_causal = config.objective == "causal"
        has_places = config.absolute_positions or not config.relative_positions
        places = torch.empty(config.max_len, hidden)
        self.positions = nn.Parameter(places) if has_places else None
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
                looks_ahead=not self.is_causal,
                filter_share=config.filter_share if self.is_causal else 0.0,
            )
            for _ in range(config.num_layers)
        )

    @torch.no_grad()
    def initialise(self, std: float) -> None:
        super().initialise(std)
        if self.positions is not None:
            self.positions.normal_(0.0, std)

    def training_targets(self, items: Tensor, generator: torch.Generator) -> TrainingTargets:
        if self.is_causal:
            return next_items(items)
        return masked_items(
            items,
            num_items=self.num_items,
            mask_prob=self.config.random_mask_prob,
            last_item_ratio=self.config.last_item_mask_ratio,
            replaced=Replacement(self.config.mask_replace_prob, self.config.random_replace_prob),
            generator=generator,
        )

    def most_targets(self, time: int) -> float:
        if self.is_causal:
            return time
        share = self.config.random_mask_prob  # the mean and three standard deviations
        return min(float(time), time * share + 3.0 * math.sqrt(time * share * (1.0 - share)))

    def activation_bytes(self, step: Step) -> float:
        drops = self.config.dropout_rate > 0.0
        drops_weights = drops and self.config.attention_dropout
        of_hidden = (50.0 if step.in_half else 80.0) + (4.0 if drops else 0.0)  # of a whole block
        if self.is_causal and self.config.filter_share:
            of_hidden += 8.0 if step.in_half else 16.0
        of_weight = 0.0
        if step.on_cpu and (drops_weights or step.in_half):  # attention in pieces keeps its weights
            of_weight = (2.0 if step.in_half else 4.0) + (2.0 if drops_weights else 0.0)
        hidden = step.batch * step.time * self.config.hidden_units
        weights = step.batch * self.config.num_heads * step.time * step.time
        blocks = float(len(self.blocks))
        if not self.config.relative_positions:  # the last block computes target positions only
            blocks += self.most_targets(step.time) / max(step.time, 1) - 1.0
        return of_hidden * hidden * (blocks + 0.5) + of_weight * weights * blocks

    @torch.no_grad()
    def attention(self, items: Tensor) -> Tensor:
        items = self.answered_from(items)
        x, (visible, keys) = self._inputs(items), self._masks(items)
        weights = []
        block: Any
        for block in self.blocks:
            weights.append(block.attention.weights(x, visible)[0, :, -1])  # [H, T]
            x = block(x, visible, keys).view_as(x)
        return functional.pad(torch.stack(weights), (0, int(self.is_causal)))  # causal: no [MASK]

    def encode(self, items: Tensor) -> Tensor:
        return self._encode(items, None).view(*items.shape, -1)

    def hidden_at(self, items: Tensor, positions: Tensor) -> Tensor:
        batch, time = items.shape
        if self.is_causal or self.config.relative_positions:
            # nearly all positions are needed, or each has biases of its own
            return self._encode(items, None).index_select(0, positions)
        return self._encode(items, QueryPositions.of(positions, batch=batch, time=time))

    def last_hidden(self, items: Tensor) -> Tensor:
        batch, time = items.shape
        rows = torch.arange(batch, device=items.device)
        return self._encode(items, QueryPositions((rows + 1) * time - 1, rows, num_queries=1))

    def _encode(self, items: Tensor, wanted: QueryPositions | None) -> Tensor:
        """Return [B * T, D], or [M, D] for `wanted` positions; of a causal model these must be the
        last ones, which see everything."""
        x, (visible, keys) = self._inputs(items), self._masks(items)
        *first, last = self.blocks
        for block in first:
            x = block(x, visible, keys).view_as(x)
        hidden: Tensor = last(x, visible if wanted is None else keys, keys, wanted)
        return hidden

    def _inputs(self, items: Tensor) -> Tensor:
        """Return the inputs of the first block [B, T, D]."""
        time = items.shape[1]
        if time > self.max_len:
            raise ValueError(f"a sequence of {time} items is longer than max_len={self.max_len}")
        x = self.embed(items)
        if self.positions is not None:
            x = x + self.positions[self.max_len - time :]
        if x.device.type == "cpu":  # norms run in their input dtype here, in fp32 on a GPU
            x = in_autocast_type(x)
        hidden: Tensor = self.dropout(self.norm(x))
        return hidden

    def _masks(self, items: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return what each position may attend to, and what the last one may."""
        keys = _visible_keys(items)
        if not self.is_causal:
            return keys, keys
        return causal_mask(keys, time=items.shape[1], device=items.device), keys


def _visible_keys(items: Tensor) -> Tensor | None:
    """Return the keys that attention may use: bool [B, 1, 1, T], or None without padding.

    The last column is always visible: a row of padding only would be a softmax over nothing.
    """
    visible = items != PADDING
    visible[:, -1] = True
    # on a GPU, reading the values would force a synchronisation; a graph fits all values
    reads_values = items.device.type == "cpu" and not torch.compiler.is_exporting()
    if reads_values and bool(visible.all()):
        return None
    return visible[:, None, None, :]
