"""The architectures: one file each, found by its name.

`<name>.py` defines a `SequenceModel` and its `ModelConfig`; the latter may stand in
`<name>_config.py` instead, so that parameters are checked without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, TypeVar

from .config import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

    from ..data import Side
    from .base import SequenceModel

DEFAULT = "transformer"
_SHARED = ("base", "config")
T = TypeVar("T")


def architectures() -> tuple[str, ...]:
    """Names of all architectures, the default first."""
    files = [module.name for module in iter_modules(__path__)]
    names = [n for n in files if n not in _SHARED and not n.endswith("_config")]
    return tuple(sorted(names, key=lambda name: (name != DEFAULT, name)))


@cache
def config_class(architecture: str) -> type[ModelConfig]:
    """The parameters of an architecture."""
    own_file = f"{architecture}_config"
    module = own_file if find_spec(f"{__name__}.{own_file}") else architecture
    return _defined(module, ModelConfig)


def build_model(
    config: ModelConfig, *, num_items: int, sides: Mapping[str, Side]
) -> SequenceModel[Any]:
    """A fresh model for a catalogue and its side tables."""
    from .base import SideEmbedding

    embeddings = {
        name: SideEmbedding.of(sides[name], hidden=config.hidden_units) for name in config.sides
    }
    return _model_class(config)(config, num_items=num_items, sides=embeddings)


def load_model(config: ModelConfig, weights: Mapping[str, Tensor]) -> SequenceModel[Any]:
    """A model from the weights of a checkpoint alone: sizes and side tables are in them."""
    from .base import SideEmbedding

    sides = {
        name: SideEmbedding(
            num_values=len(weights[f"sides.{name}.embedding.weight"]) - 1,
            hidden=config.hidden_units,
            values=weights[f"sides.{name}.values"],
            offsets=weights[f"sides.{name}.offsets"],
        )
        for name in config.sides
    }
    model = _model_class(config)(config, num_items=len(weights["item_bias"]), sides=sides)
    model.load_state_dict(weights)
    return model.eval()


def _model_class(_config: ModelConfig) -> type[SequenceModel[Any]]:
    from .base import SequenceModel

    return _defined(DEFAULT, SequenceModel)


def _defined(module: str, base: type[T]) -> type[T]:
    """The subclass of `base` that a file of this package defines."""
    path = f"{__name__}.{module}"
    (found,) = (
        value
        for value in vars(import_module(path)).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == path
    )
    return found
