"""The parameters of the sample data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from .config import Section
from .seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np

ITEMS_FOR_EACH = 8
"""Items to one interaction of the mean user, so that the longest history still finds new ones."""


class SampleParameters(Section):
    """What is generated, and whether it may be."""

    enabled: bool = False
    """True in conf/sample only: elsewhere the files would lie where a user's own belong."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Of what is generated."""
    num_users: Annotated[int, Field(ge=10, le=100_000)] = 3000
    """Users that are generated."""
    num_items: Annotated[int, Field(ge=100, le=9999)] = 500
    """Films that are generated."""
    mean_length: Annotated[float, Field(ge=6, le=200)] = 30
    """Interactions of a user."""
    num_texts: Annotated[int, Field(ge=100, le=100_000)] = 1500
    """Texts with labels that are generated."""
    num_dialogues: Annotated[int, Field(ge=100, le=100_000)] = 600
    """Dialogues with summaries that are generated."""

    @model_validator(mode="after")
    def _nobody_runs_out_of_films(self) -> SampleParameters:
        if self.mean_length * ITEMS_FOR_EACH > self.num_items:
            raise ValueError(
                f"mean_length={self.mean_length:g} is too long for num_items={self.num_items}: "
                f"nobody watches a film twice; give at most {self.num_items // ITEMS_FOR_EACH} "
                "(sample.mean_length)"
            )
        return self

    def seed_of(self, purpose: str) -> int:
        """A seed that is independent of what else is generated."""
        return derive_seed(self.seed, "sample", purpose)

    def rng(self, purpose: str) -> np.random.Generator:
        import numpy as np

        return np.random.default_rng(self.seed_of(purpose))
