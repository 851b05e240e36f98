"""Base of all sequence models: item and side embeddings, tied output, loss, scores.

An architecture adds the layers that turn a sequence into hidden states (`build` and `encode`).

Sequences are padded with 0 on the left; the width of the padding must not change a score. Items
are 1..V, [MASK] is V + 1.

An item's vector is its embedding plus, for each side table in use, the mean embedding of its
values. With `share_embeddings` the same vectors are the output projection (so that side values
also place an item never seen in training); otherwise the output is a separate linear layer. Each
item has an output bias.

Shapes: B batch, T time, D hidden, V items, M target positions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..cooccurrence import Cooccurrence, last_items
from ..data import Side
from ..losses.cross_entropy import item_cross_entropy
from ..losses.sampled_softmax import OutputRows, SampledItems, sampled_cross_entropy
from ..objectives import TrainingTargets, next_items
from .config import ModelConfig

PADDING = 0
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Of item-to-item counts in the scores: what `item_to_item: auto` chooses from."""
ConfigT = TypeVar("ConfigT", bound=ModelConfig)


class SideEmbedding(nn.Module):
    """The mean embedding of an item's side values, for all items at once."""

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
        """Return [V + 2, D]; zero for padding, [MASK] and items without values."""
        means = functional.embedding_bag(
            self.values, self.embedding.weight, self.offsets, mode="mean", include_last_offset=True
        )  # [V + 1, D]
        return functional.pad(means, (0, 0, 0, 1))


def side_key(name: str) -> str:
    """Return the key of a side table; a ModuleDict refuses the names of its own methods."""
    return f"{name}_" if hasattr(nn.ModuleDict(), name) else name


class Step(NamedTuple):
    """What determines the memory of a training step, apart from the model."""

    batch: int
    time: int
    in_half: bool
    """Computed in bf16 or fp16."""
    on_cpu: bool


class SequenceModel(nn.Module, Generic[ConfigT]):
    """Base of every architecture."""

    share: Tensor
    """Of item-to-item counts in the scores."""

    is_causal = True
    """Whether each position sees only earlier items and predicts the next one."""

    def __init__(
        self,
        config: ConfigT,
        *,
        num_items: int,
        sides: Mapping[str, SideEmbedding],
        counts: Cooccurrence | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_items = num_items
        self.mask_token = num_items + 1
        self.max_len = config.max_len
        self.is_lazy = config.lazy_embeddings
        hidden = config.hidden_units
        self.items = nn.Embedding(num_items + 2, hidden, padding_idx=PADDING, sparse=self.is_lazy)
        self.sides = nn.ModuleDict({side_key(name): sides[name] for name in config.sides})
        self.build(config)
        self.output = None if config.share_embeddings else nn.Linear(hidden, num_items, bias=False)
        self.counts = counts
        self.chooses_share = config.item_to_item == "auto"
        share = 0.0 if self.chooses_share else float(config.item_to_item)
        self.register_buffer("share", torch.tensor(share), persistent=self.chooses_share)
        self.item_bias = nn.Parameter(torch.zeros(num_items), requires_grad=config.output_bias)
        self.initialise(config.init_std)

    @abstractmethod
    def build(self, config: ConfigT) -> None:
        """Create the layers between the embeddings and the output."""

    @abstractmethod
    def encode(self, items: Tensor) -> Tensor:
        """Return hidden states [B, T, D] of item sequences [B, T]."""

    @abstractmethod
    def activation_bytes(self, step: Step) -> float:
        """Estimate the bytes that the layers keep for the backward pass."""

    def most_targets(self, time: int) -> float:
        """Return the most target positions of any sequence of this length."""
        return time

    def attention(self, items: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return the attention of the predicting position for one sequence [1, T] ending in
        [MASK]: fp32 [L, H, T] by layer and head, or None without attention."""
        return None

    def forward(self, items: Tensor) -> Tensor:
        return self.encode(items)

    def hidden_at(self, items: Tensor, positions: Tensor) -> Tensor:
        """Return hidden states [M, D] at ascending positions into items.flatten()."""
        return self.encode(items).flatten(0, 1).index_select(0, positions)

    def last_hidden(self, items: Tensor) -> Tensor:
        """Return hidden states [B, D] at the last position."""
        return self.encode(items)[:, -1]

    def training_targets(self, items: Tensor, generator: torch.Generator) -> TrainingTargets:  # noqa: ARG002
        """Return inputs and targets for sequences [B, T]; every draw comes from `generator`."""
        return next_items(items)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return scores [M, V] of all items for hidden states [M, D]; column j is item j + 1."""
        return functional.linear(hidden, self._output_weight(), self.item_bias)

    def loss(
        self, items: Tensor, positions: Tensor, targets: Tensor, drawn: SampledItems | None = None
    ) -> Tensor:
        """Return the mean cross entropy of targets [M] at positions, over all or `drawn` items."""
        hidden, columns = in_autocast_type(self.hidden_at(items, positions)), targets - 1
        if drawn is None:
            return item_cross_entropy(hidden, self._output_weight(), self.item_bias, columns)
        right, others = self._output_rows(columns, drawn.columns)
        return sampled_cross_entropy(hidden, right, others, columns=columns, drawn=drawn)

    def answered_from(self, items: Tensor) -> Tensor:
        """Return what the model reads of sequences ending in [MASK]; a causal one reads no mask."""
        if not self.is_causal:
            return items
        return items[:, :-1] if items.shape[1] > 1 else torch.zeros_like(items)

    def next_item_scores(self, items: Tensor) -> Tensor:
        """Return fp32 scores [B, V] of the next item; `items` [B, T] end in [MASK]. With
        `item_to_item`, logarithms of the network's and the counts' mixed probabilities."""
        scores = self._network_scores(items)
        if self.counts is None:
            return scores
        counted = self.counts.probabilities(last_items(items)).log()  # -inf for 0
        network = scores.log_softmax(1)
        return torch.logaddexp(network + torch.log1p(-self.share), counted + self.share.log())

    def probabilities_by_share(self, items: Tensor) -> Iterator[Tensor]:
        """Yield the mixed probabilities [B, V] at each of SHARES."""
        network = self._network_scores(items).softmax(1)
        counted = self.counts.probabilities(last_items(items)) if self.counts else network
        for share in SHARES:
            yield torch.lerp(network, counted, share)

    def _network_scores(self, items: Tensor) -> Tensor:  # [B, V]
        """The product is computed in fp32 at any precision, because rounding would create ties."""
        hidden = self.last_hidden(self.answered_from(items)).float()  # [B, D]
        with torch.autocast(hidden.device.type, enabled=False):
            weight = self._output_weight().float()
            return functional.linear(hidden, weight, self.item_bias.float())

    @torch.no_grad()
    def without_sides(self) -> Self:
        """Return a copy of the network whose item embeddings hold the side values too."""
        made = deepcopy(self)
        made.items.weight = nn.Parameter(self._table())
        made.sides, made.counts = nn.ModuleDict(), None
        return made

    @torch.no_grad()
    def output_layer(self) -> nn.Linear:
        """Return a copy of the output as a layer from hidden states to the scores of all items."""
        weight = self._output_weight()
        made = nn.Linear(weight.shape[1], weight.shape[0])
        made.weight.copy_(weight)
        made.bias.copy_(self.item_bias)
        return made

    def item_vectors(self) -> Tensor:
        """Return the input vectors of all items, side values included [V, D]."""
        return self._table()[1 : self.mask_token]

    def embed(self, items: Tensor) -> Tensor:
        """Return the input vectors [B, T, D] of item sequences [B, T]."""
        return functional.embedding(items, self._table(), padding_idx=PADDING, sparse=self.is_lazy)

    @torch.no_grad()
    def initialise(self, std: float) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                module.weight.normal_(0.0, std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()
            if isinstance(module, nn.Embedding):
                module.weight[PADDING].zero_()

    @torch.no_grad()
    def start_items(self, vectors: Tensor) -> None:
        """Start with these vectors [V, D] of unit variance; a random one stays where it is zero."""
        known = vectors.any(dim=1).nonzero().squeeze(1)
        self.items.weight[known + 1] = self.config.init_std * vectors[known]

    def _table(self) -> Tensor:
        """Return the input vector of each id [V + 2, D]; zero for padding."""
        table: Tensor = self.items.weight
        for side in self.sides.values():
            table = table + side()
        return table

    def _output_weight(self) -> Tensor:  # [V, D]
        return self.item_vectors() if self.output is None else self.output.weight

    def _output_rows(self, *columns: Tensor) -> list[OutputRows]:
        """Return the output rows of each group of items, in one lookup: each dense gradient would
        be as large as the table."""
        chosen, sizes = torch.cat(columns), [len(part) for part in columns]
        table, ids = self._table(), chosen + 1
        if self.output is not None:
            table, ids = self.output.weight, chosen
        weight = functional.embedding(ids, table, sparse=self.is_lazy)
        bias = self.item_bias.gather(0, chosen, sparse_grad=self.is_lazy)
        parts = weight.split_with_sizes(sizes), bias.split_with_sizes(sizes)
        return [OutputRows(*rows) for rows in zip(*parts, strict=True)]


def in_autocast_type(x: Tensor) -> Tensor:
    """Cast to bf16 or fp16 once if autocast is on, instead of at each product."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x
