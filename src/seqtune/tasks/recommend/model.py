"""A transformer over sequences of items, with one of two objectives.

- cloze (BERT4Rec): it looks at both sides and names the items behind [MASK].
- causal (SASRec with a cross entropy over all items): each item sees those before it only, and
  names the one that follows.

Sequences are padded with 0 on the left and positions are counted from the end, so that the width
of the padding never changes a score. Items are 1..V, [MASK] is V + 1.

An item is its embedding plus, for every side table that is switched on, the mean of the
embeddings of its values. With `share_embeddings` that same sum is the output projection (an item
never seen in training is then still placed by its side values); otherwise the output is a linear
layer of its own. Either way each item has a bias.

Shapes: B batch, T time, D hidden, V items, M positions that are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from .data import Side
from .dropout import CheapDropout
from .layers import Block, Wanted, causal_mask
from .loss import item_cross_entropy
from .params import ModelConfig
from .sampled import Drawn, Rows, sampled_cross_entropy

PADDING = 0


class SideEmbedding(nn.Module):
    """The mean of the embeddings of an item's values, for all items at once."""

    values: Tensor
    offsets: Tensor

    def __init__(self, *, num_values: int, hidden: int, values: Tensor, offsets: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_values + 1, hidden, padding_idx=PADDING)
        self.register_buffer("values", values)
        self.register_buffer("offsets", offsets)

    @classmethod
    def of(cls, side: Side, *, hidden: int) -> SideEmbedding:
        return cls(
            num_values=side.num_values,
            hidden=hidden,
            values=torch.tensor(side.values, dtype=torch.int64),
            offsets=torch.tensor(side.offsets, dtype=torch.int64),
        )

    def forward(self) -> Tensor:
        """[V + 2, D]; zero for padding, [MASK] and items without values."""
        means = functional.embedding_bag(
            self.values, self.embedding.weight, self.offsets, mode="mean", include_last_offset=True
        )  # [V + 1, D]
        return functional.pad(means, (0, 0, 0, 1))


class ItemTransformer(nn.Module):
    """See the module's docstring."""

    def __init__(
        self, config: ModelConfig, *, num_items: int, sides: Mapping[str, SideEmbedding]
    ) -> None:
        super().__init__()
        hidden = config.hidden_units
        self.num_items = num_items
        self.mask_token = num_items + 1
        self.max_len = config.max_len
        self.is_causal = config.objective == "causal"
        self.is_lazy = config.lazy_embeddings
        self.items = nn.Embedding(
            num_items + 2, hidden, padding_idx=PADDING, sparse=config.lazy_embeddings
        )
        self.sides = nn.ModuleDict({name: sides[name] for name in config.sides})
        self.positions = nn.Parameter(torch.empty(config.max_len, hidden))
        self.norm = nn.LayerNorm(hidden)
        self.dropout = CheapDropout(config.dropout_rate)
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
        self.output = None if config.share_embeddings else nn.Linear(hidden, num_items, bias=False)
        self.item_bias = nn.Parameter(torch.zeros(num_items))
        self._initialise(config.init_std)

    def forward(self, items: Tensor) -> Tensor:
        """Hidden states [B, T, D] of item sequences [B, T]."""
        return self._encode(items, None).view(*items.shape, -1)

    def hidden_at(self, items: Tensor, positions: Tensor) -> Tensor:
        """Hidden states [M, D] at some positions only, ascending, into items.flatten()."""
        batch, time = items.shape
        if self.is_causal:  # nearly all of them, and each has keys of its own
            return self._encode(items, None).index_select(0, positions)
        return self._encode(items, Wanted.of(positions, batch=batch, time=time))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores [M, V] of all items for hidden states [M, D]; column j is item j + 1."""
        return functional.linear(hidden, self._output_weight(), self.item_bias)

    def loss(
        self, items: Tensor, positions: Tensor, targets: Tensor, drawn: Drawn | None = None
    ) -> Tensor:
        """Mean cross entropy of the items [M] that are to be named at these positions, against all
        items or those `drawn`."""
        hidden, columns = _in_autocast_type(self.hidden_at(items, positions)), targets - 1
        if drawn is None:
            return item_cross_entropy(hidden, self._output_weight(), self.item_bias, columns)
        right, others = self._output_rows(columns, drawn.columns)
        return sampled_cross_entropy(hidden, right, others, columns=columns, drawn=drawn)

    def next_item_scores(self, items: Tensor) -> Tensor:
        """Scores fp32 [B, V] of the item that comes next; `items` [B, T] ends in [MASK].

        A causal model has no use for [MASK]; its answer is where the last item is. The product is
        taken in fp32 whatever the precision: rounding would make ties.
        """
        if self.is_causal:
            items = items[:, :-1] if items.shape[1] > 1 else torch.zeros_like(items)
        batch, time = items.shape
        ends = torch.arange(1, batch + 1, device=items.device) * time - 1
        hidden = self._encode(items, Wanted.of(ends, batch=batch, time=time))  # [B, D]
        with torch.autocast(hidden.device.type, enabled=False):
            weight = self._output_weight().float()
            return functional.linear(hidden.float(), weight, self.item_bias.float())

    def item_vectors(self) -> Tensor:
        """The items as they go in, side values included [V, D]."""
        return self._table()[1 : self.mask_token]

    def _encode(self, items: Tensor, wanted: Wanted | None) -> Tensor:
        """[B * T, D], or [M, D] where only some positions are wanted: of a causal model, the last
        ones, which may see everything."""
        time = items.shape[1]
        if time > self.max_len:
            raise ValueError(f"a sequence of {time} items is longer than max_len={self.max_len}")
        x = functional.embedding(
            items, self._table(), padding_idx=PADDING, sparse=self.is_lazy
        )  # [B, T, D]
        x = x + self.positions[self.max_len - time :]
        if x.device.type == "cpu":  # where norms run in what they get; on a GPU they run in fp32
            x = _in_autocast_type(x)
        x = self.dropout(self.norm(x))
        keys = _visible_keys(items)
        visible = causal_mask(keys, time=time, device=items.device) if self.is_causal else keys
        *first, last = self.blocks
        for block in first:
            x = block(x, visible).view_as(x)
        hidden: Tensor = last(x, visible if wanted is None else keys, wanted)
        return hidden

    def _table(self) -> Tensor:
        """What goes in for each id [V + 2, D]; zero for padding."""
        table: Tensor = self.items.weight
        for side in self.sides.values():
            table = table + side()
        return table

    def _output_weight(self) -> Tensor:  # [V, D]
        if self.output is not None:
            return self.output.weight
        return self.item_vectors()

    def _output_rows(self, *columns: Tensor) -> list[Rows]:
        """Of some items each, looked up together: a dense gradient is as large as the table."""
        chosen, sizes = torch.cat(columns), [len(part) for part in columns]
        table, ids = self._table(), chosen + 1
        if self.output is not None:
            table, ids = self.output.weight, chosen
        weight = functional.embedding(ids, table, sparse=self.is_lazy)
        bias = self.item_bias.gather(0, chosen, sparse_grad=self.is_lazy)
        parts = weight.split_with_sizes(sizes), bias.split_with_sizes(sizes)
        return [Rows(*rows) for rows in zip(*parts, strict=True)]

    @torch.no_grad()
    def _initialise(self, std: float) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                module.weight.normal_(0.0, std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()
            if isinstance(module, nn.Embedding):
                module.weight[PADDING].zero_()
        self.positions.normal_(0.0, std)


def build_model(
    config: ModelConfig, *, num_items: int, sides: Mapping[str, Side]
) -> ItemTransformer:
    """A fresh model for a catalogue and its side tables."""
    embeddings = {
        name: SideEmbedding.of(sides[name], hidden=config.hidden_units) for name in config.sides
    }
    return ItemTransformer(config, num_items=num_items, sides=embeddings)


def load_model(config: ModelConfig, weights: Mapping[str, Tensor]) -> ItemTransformer:
    """A model from the weights of a checkpoint alone: sizes and side tables are in them."""
    sides = {
        name: SideEmbedding(
            num_values=len(weights[f"sides.{name}.embedding.weight"]) - 1,
            hidden=config.hidden_units,
            values=weights[f"sides.{name}.values"],
            offsets=weights[f"sides.{name}.offsets"],
        )
        for name in config.sides
    }
    model = ItemTransformer(config, num_items=len(weights["item_bias"]), sides=sides)
    model.load_state_dict(weights)
    return model.eval()


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


def _in_autocast_type(x: Tensor) -> Tensor:
    """Down to bf16 or fp16 at once where autocast is on, not again at each product."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x
