"""seqtune: from raw sequences to tuned, verified predictions."""

import os
from importlib import import_module
from typing import Any

__all__ = ["Recommender", "Rules"]
__version__ = "0.1.0"

# Kedro's plug-ins report usage over the network at start, which takes 10 s without a network.
# This module is imported before any of them is set up.
for _switch in ("KEDRO_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
    os.environ.setdefault(_switch, "true")

# On the CPU, oneDNN caches code for every shape of product, and torch caches it again: 1024 of them
# each by default, of 250 KB in bf16. Batches differ in length, so both caches would grow by
# hundreds of MiB, which costs more than compiling again.
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "64")

# Threads that busy-wait take the core from the thread they wait for as soon as anything else runs,
# and an epoch then takes several times as long. Torch reads both switches when it is loaded later.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def __getattr__(name: str) -> Any:
    """Import `Recommender` and `Rules`, and torch with them, only on use."""
    if name not in __all__:
        raise AttributeError(f"module 'seqtune' has no attribute {name!r}")
    return getattr(import_module("seqtune.tasks.recommend.recommender"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
