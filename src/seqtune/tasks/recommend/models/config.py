"""Parameters that every architecture has, and which architectures there are.

An architecture is a file of this package, `<name>.py`, that defines a `SequenceModel` and its
`ModelConfig`. The latter may stand in `<name>_config.py` instead: it is then read without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from seqtune.core.config import Probability, Section
from seqtune.core.errors import did_you_mean

T = TypeVar("T")
DEFAULT = "transformer"
_PACKAGE = __name__.rpartition(".")[0]
_SHARED = ("base", "config")

SWITCHED_SIDES = ("genre", "director", "writer", "title")
"""Side tables with a switch of their own."""


def architectures() -> tuple[str, ...]:
    """Names of all architectures, the default first."""
    files = [module.name for module in iter_modules(import_module(_PACKAGE).__path__)]
    names = [n for n in files if n not in _SHARED and not n.endswith("_config")]
    return tuple(sorted(names, key=lambda name: (name != DEFAULT, name)))


def config_class(architecture: str) -> type[ModelConfig]:
    """The parameters of an architecture."""
    own_file = f"{architecture}_config"
    return defined_in(
        own_file if find_spec(f"{_PACKAGE}.{own_file}") else architecture, ModelConfig
    )


def defined_in(file: str, base: type[T]) -> type[T]:
    """The subclass of `base` that a file of this package defines."""
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
    """What reads a sequence; a file of tasks/recommend/models."""
    hidden_units: Annotated[int, Field(ge=2, le=4096)] = 256
    """Width of the model."""
    num_layers: Annotated[int, Field(ge=1, le=48)] = 3
    """Layers between the item embeddings and the output."""
    max_len: Annotated[int, Field(ge=2, le=4096)] = 200
    """Longest sequence the model sees, [MASK] included; older interactions are cut off."""
    window_step: Annotated[int, Field(ge=0)] = 0
    """Histories beyond max_len: training also reads windows of max_len items that end so many
    items earlier, down to the oldest item; below max_len. 0: the last window alone."""
    dropout_rate: Probability = 0.2
    """Share of values set to 0 in training: the main regulariser."""
    share_embeddings: bool = True
    """Output projection tied to the item embedding; false: a separate linear layer."""
    init_std: Annotated[float, Field(gt=0.0, le=1.0)] = 0.02
    """Standard deviation of the weights at the start."""
    num_negatives: Annotated[int, Field(ge=0)] = 0
    """Items, drawn anew at each step, that stand for the whole catalogue in the loss; for
    catalogues of 100,000 items and more. 0: all items."""
    lazy_embeddings: bool = False
    """Update only the items that a step has met, with adamw or adam; with num_negatives, a step
    then costs the same however large the catalogue."""
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
    def _is_the_own_name(cls, value: str) -> str:
        if value != cls.model_fields["architecture"].default:
            raise ValueError(f"there is no such file; {did_you_mean(value, architectures())}")
        return value

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Self:
        if self.window_step >= self.max_len:
            raise ValueError(
                f"window_step={self.window_step} would leave out items between windows of max_len="
                f"{self.max_len}; choose at most {self.max_len - 1}, or 0 for the last window alone"
            )
        return self

    @model_validator(mode="after")
    def _lazy_embeddings_are_met_rarely(self) -> Self:
        if self.lazy_embeddings and not self.num_negatives:
            raise ValueError(
                "lazy_embeddings=true has no effect where the loss meets all items in every step; "
                "set num_negatives (for example 1024), or switch it off"
            )
        if self.lazy_embeddings and self.sides:
            raise ValueError(
                f"lazy_embeddings=true cannot be had with the side tables {', '.join(self.sides)}: "
                "their values belong to many items each; switch one or the other off"
            )
        return self

    @property
    def shortest_sequence(self) -> int:
        """Items that a user must have in the training part to be learned from."""
        return 2  # an item and the one that follows

    @property
    def sides(self) -> tuple[str, ...]:
        """The side tables that are switched on."""
        switched = [side for side in SWITCHED_SIDES if getattr(self, f"use_{side}_emb")]
        return tuple(dict.fromkeys((*switched, *self.side_embeddings)))

    def how_switched(self, side: str) -> str:
        """The parameter that switched a side table on, with its value."""
        if side in self.side_embeddings:
            return f"recommend.model.side_embeddings names {side}"
        return f"recommend.model.use_{side}_emb=true"


def _of_architecture(values: Any) -> Any:
    if not isinstance(values, Mapping):
        return values
    return ModelConfig.variant(values).model_validate(values)


AnyModelConfig = Annotated[SerializeAsAny[ModelConfig], BeforeValidator(_of_architecture)]
"""The parameters of whichever architecture is selected."""
