"""Parameters that all architectures share, and the list of architectures.

An architecture is a file `<name>.py` of this package that defines a `SequenceModel` and its
`ModelConfig`. The latter may be in `<name>_config.py`, which is read without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from seqtune.core.config import Probability, Section
from seqtune.core.errors import did_you_mean

T = TypeVar("T")
DEFAULT = "transformer"
_PACKAGE = __name__.rpartition(".")[0]
_SHARED = ("base", "config")

SWITCHED_SIDES = ("genre", "director", "writer", "title")
"""Side tables with their own switch."""


def architectures() -> tuple[str, ...]:
    """Return the names of all architectures, the default first."""
    modules = iter_modules(import_module(_PACKAGE).__path__)
    files = [module.name for module in modules if not module.ispkg]
    names = [n for n in files if n not in _SHARED and not n.endswith("_config")]
    return tuple(sorted(names, key=lambda name: (name != DEFAULT, name)))


def config_class(architecture: str) -> type[ModelConfig]:
    """Return the class of an architecture's parameters."""
    own_file = f"{architecture}_config"
    return defined_in(
        own_file if find_spec(f"{_PACKAGE}.{own_file}") else architecture, ModelConfig
    )


def defined_in(file: str, base: type[T]) -> type[T]:
    """Return the subclass of `base` that a file of this package defines."""
    module = import_module(f"{_PACKAGE}.{file}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    )
    return found


Architecture = Annotated[
    str, Field(json_schema_extra=lambda schema: schema.update(enum=list(architectures())))
]


class ModelConfig(Section):
    """A model of item sequences."""

    selector: ClassVar[str] = "architecture"

    architecture: Architecture = DEFAULT
    """Architecture of the model; a file of tasks/recommend/models."""
    hidden_units: Annotated[int, Field(ge=2, le=4096)] = 256
    """Width of the model."""
    num_layers: Annotated[int, Field(ge=1, le=48)] = 3
    """Layers between the item embeddings and the output."""
    max_len: Annotated[int, Field(ge=2, le=4096)] = 200
    """Longest sequence the model reads, [MASK] included; older interactions are cut off."""
    window_step: Annotated[int, Field(ge=0)] = 0
    """For histories longer than max_len: train also on windows of max_len items that end this many
    items earlier, down to the oldest item; less than max_len. 0: only the last window."""
    dropout_rate: Probability = 0.2
    """Dropout in training, the main regulariser."""
    share_embeddings: bool = True
    """Output projection tied to the item embedding; false: a separate linear layer."""
    output_bias: bool = True
    """Learn a bias of each item's score, which takes up its popularity."""
    init_std: Annotated[float, Field(gt=0.0, le=1.0)] = 0.02
    """Standard deviation of the weights at the start."""
    item_init: Literal["random", "counts"] = "random"
    """Item vectors at the start: random, or of item-to-item counts, so that items that occur
    together are near each other before the first step."""
    item_to_item: Probability | Literal["auto"] = 0.0
    """Share of item-to-item counts in the scores, beside the network's probabilities. They keep
    rare pairs that a narrow network does not learn; training is the same with and without. auto:
    each validation chooses the best of 0, 0.2, 0.4, 0.6 and 0.8."""
    item_to_item_weights: Literal["counts", "regression"] = "counts"
    """How closely two items belong together, for item_init and item_to_item: by counts alone, or
    mostly by a ridge regression of the next items on the last ones, which knows what one item says
    beyond the others. It takes a minute and 1.5 GB for 12,000 items; at most 30,000."""
    num_negatives: Annotated[int, Field(ge=0)] = 0
    """Items drawn at each step to replace the whole catalogue in the loss, for catalogues of
    100,000 items and more. 0: all items."""
    negative_popularity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """With num_negatives: items are drawn in proportion to this power of how often they occur, and
    the loss corrects for it. 0: all alike; 0.5: the square root."""
    lazy_embeddings: bool = False
    """Update only the items of a step, with adamw or adam; with num_negatives, the cost of a step
    is then independent of the size of the catalogue."""
    use_genre_emb: bool = False
    """Add embeddings of the side table genre.csv."""
    use_director_emb: bool = False
    """Add embeddings of the side table director.csv."""
    use_writer_emb: bool = False
    """Add embeddings of the side table writer.csv."""
    use_title_emb: bool = False
    """Add embeddings of the words in the side table title.csv."""
    side_embeddings: tuple[str, ...] = ()
    """Add embeddings of these side tables too; names of ingest.sides."""

    @classmethod
    def variant(cls, values: Mapping[str, Any]) -> type[ModelConfig]:
        name = values.get(cls.selector)
        return config_class(name if name in architectures() else DEFAULT)

    @classmethod
    def other_variant(cls, name: str) -> str:
        having = (n for n in architectures() if name in config_class(n).model_fields)
        return next(having, "")

    @field_validator("architecture")
    @classmethod
    def _check_architecture(cls, value: str) -> str:
        if value != cls.model_fields["architecture"].default:
            raise ValueError(f"unknown architecture; {did_you_mean(value, architectures())}")
        return value

    @model_validator(mode="after")
    def _check_window_step(self) -> Self:
        if self.window_step >= self.max_len:
            raise ValueError(
                f"window_step={self.window_step} would leave out items between windows of max_len="
                f"{self.max_len}; choose at most {self.max_len - 1}, or 0 for only the last window"
            )
        return self

    @model_validator(mode="after")
    def _check_lazy_embeddings(self) -> Self:
        if self.lazy_embeddings and not self.num_negatives:
            raise ValueError(
                "lazy_embeddings=true has no effect while the loss uses all items in every step; "
                "set num_negatives (for example 1024), or switch it off"
            )
        if self.lazy_embeddings and self.sides:
            raise ValueError(
                f"lazy_embeddings=true does not work with the side tables {', '.join(self.sides)}: "
                "many items share their values; switch one or the other off"
            )
        return self

    @property
    def uses_counts(self) -> bool:
        """Whether weights of item pairs are needed."""
        return bool(self.item_to_item) or self.item_init == "counts"

    @property
    def regresses_items(self) -> bool:
        return self.uses_counts and self.item_to_item_weights == "regression"

    @property
    def shortest_sequence(self) -> int:
        """The fewest training items of a user that can be trained on."""
        return 2  # an item and the one that follows

    @property
    def sides(self) -> tuple[str, ...]:
        """The side tables in use."""
        switched = [side for side in SWITCHED_SIDES if getattr(self, f"use_{side}_emb")]
        return tuple(dict.fromkeys((*switched, *self.side_embeddings)))

    def how_switched(self, side: str) -> str:
        """Return the parameter that switched a side table on, with its value."""
        if side in self.side_embeddings:
            return f"recommend.model.side_embeddings names {side}"
        return f"recommend.model.use_{side}_emb=true"


def _parse_model_config(values: Any) -> Any:
    is_mapping = isinstance(values, Mapping)
    return ModelConfig.variant(values).model_validate(values) if is_mapping else values


AnyModelConfig = Annotated[SerializeAsAny[ModelConfig], BeforeValidator(_parse_model_config)]
"""The parameters of the selected architecture."""
