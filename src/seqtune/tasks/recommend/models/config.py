"""Parameters that every architecture has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from seqtune.contracts.config import Probability, Section

SIDES = ("genre", "director", "writer", "title")
"""Optional item side tables; the first three are categories, the last is text."""


class ModelConfig(Section):
    """A model of item sequences."""

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

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> ModelConfig:
        if self.window_step >= self.max_len:
            raise ValueError(
                f"window_step={self.window_step} would leave out items between windows of max_len="
                f"{self.max_len}; choose at most {self.max_len - 1}, or 0 for the last window alone"
            )
        return self

    @model_validator(mode="after")
    def _lazy_embeddings_are_met_rarely(self) -> ModelConfig:
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
        return tuple(side for side in SIDES if getattr(self, f"use_{side}_emb"))
