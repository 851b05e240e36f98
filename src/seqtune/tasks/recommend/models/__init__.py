"""Models of item sequences, one architecture per file (see `config.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .config import ModelConfig, defined_in

if TYPE_CHECKING:
    from torch import Tensor

    from ..cooccurrence import Cooccurrence
    from ..data import Side
    from .base import SequenceModel


def build_model(
    config: ModelConfig,
    *,
    num_items: int,
    sides: Mapping[str, Side],
    counts: Cooccurrence | None = None,
) -> SequenceModel[Any]:
    """Return a newly initialised model for a catalogue, its side tables and, with `item_to_item`,
    its counts."""
    from .base import SideEmbedding

    embeddings = {
        name: SideEmbedding.of(sides[name], hidden=config.hidden_units) for name in config.sides
    }
    return _model_class(config)(config, num_items=num_items, sides=embeddings, counts=counts)


def load_model(config: ModelConfig, weights: Mapping[str, Tensor]) -> SequenceModel[Any]:
    """Return a model from the weights of a checkpoint, which hold sizes and side tables too."""
    from seqtune.inference import outline

    build = partial(_sized_like, config, weights)
    outline(build, weights).load_state_dict(weights, assign=True)
    model = build()
    model.load_state_dict(weights)
    return model.eval()


def _sized_like(config: ModelConfig, weights: Mapping[str, Tensor]) -> SequenceModel[Any]:
    from ..cooccurrence import Cooccurrence
    from .base import SideEmbedding, side_key

    sides = {
        name: SideEmbedding(
            num_values=len(weights[f"sides.{side_key(name)}.embedding.weight"]) - 1,
            hidden=config.hidden_units,
            values=weights[f"sides.{side_key(name)}.values"],
            offsets=weights[f"sides.{side_key(name)}.offsets"],
        )
        for name in config.sides
    }
    num_items, counts = len(weights["item_bias"]), None
    if config.item_to_item:
        num_pairs = len(weights["counts.pairs"])
        counts = Cooccurrence(num_items=num_items, num_pairs=num_pairs)
    return _model_class(config)(config, num_items=num_items, sides=sides, counts=counts)


def _model_class(config: ModelConfig) -> type[SequenceModel[Any]]:
    from .base import SequenceModel

    return defined_in(config.architecture, SequenceModel)  # type: ignore[type-abstract]
