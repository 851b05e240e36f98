"""Which GPU a worker gets, found without torch and without touching CUDA."""

from __future__ import annotations

import os
from collections.abc import Mapping

from seqtune.core.gpus import list_gpus

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names that CUDA_VISIBLE_DEVICES takes, of what this process may use."""
    given = environment.get(VARIABLE)
    if given is None:
        return list_gpus()
    names = [name.strip() for name in given.split(",")]
    # CUDA reads the list up to the first name that is none
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return tuple(names[:end])


def gpu_of(index: int, gpus: tuple[str, ...]) -> str | None:
    """The GPU of worker `index`; None: there is none."""
    return gpus[index % len(gpus)] if gpus else None
