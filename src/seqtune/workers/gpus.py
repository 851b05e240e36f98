"""Which GPU a worker gets, found without torch and without touching CUDA."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

VARIABLE = "CUDA_VISIBLE_DEVICES"
_WHOLE = re.compile(r"^GPU (\d+):", re.MULTILINE)
_SLICE = re.compile(r"UUID: (MIG-[^)\s]+)")
_SECONDS_TO_ANSWER = 30


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names that CUDA_VISIBLE_DEVICES takes, of what this process may use."""
    given = environment.get(VARIABLE)
    if given is None:
        return gpus_listed(_nvidia_smi())
    names = [name.strip() for name in given.split(",")]
    # CUDA reads the list up to the first name that is none
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return tuple(names[:end])


def gpus_listed(listing: str) -> tuple[str, ...]:
    """The devices in what `nvidia-smi -L` prints; slices where a GPU is cut into them."""
    slices = _SLICE.findall(listing)
    return tuple(slices or _WHOLE.findall(listing))


def gpu_of(index: int, gpus: tuple[str, ...]) -> str | None:
    """The GPU of worker `index`; None: there is none."""
    return gpus[index % len(gpus)] if gpus else None


def _nvidia_smi() -> str:
    try:
        return subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS_TO_ANSWER,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
