"""Requirements for weighing members on the validation part, for every task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.core.seeds import derive_seed

from .checkpoint import CheckpointInfo


def require_pool(members: Mapping[str, Path], data: Any, *, task: str) -> None:
    """Refuse to weigh without members or without held-out rows."""
    if not data.has_validation:
        raise DataError(
            f"{data.path} has no valid part to weigh members on: everything in it is trained on. "
            f"Weigh them on a split made with {task}.split.use_full_data=false"
        )
    if not members:
        raise ConfigurationError("an ensemble needs at least one member; 0 were given")


def require_weighable(name: str, member: CheckpointInfo[Any], content_hash: str) -> None:
    """Refuse to weigh a member on rows that it may have been trained on."""
    if member.data_hash != content_hash:
        raise ArtifactError(
            f"member {name} ({member.path}) was trained on another split (content "
            f"{member.data_hash[:12]}) than the one it would be weighed on ({content_hash[:12]}): "
            "it may have been trained on what is held out here. Train it again on this split, or "
            "leave it out"
        )


def sample_rows(num_rows: int, most: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return all rows of the valid part, or a sample that does not depend on the members."""
    random = np.random.default_rng(derive_seed(seed, "pool"))
    return np.sort(random.permutation(num_rows)[:most])
