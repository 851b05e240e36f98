"""seqtune: from raw sequences to tuned, verified predictions."""

import os
from importlib import import_module
from typing import Any

__all__ = ["Recommender"]
__version__ = "0.1.0"

# Kedro's plug-ins report usage over the network at start, which takes 10 s on a closed one.
# This module is imported before any of them is set up.
for _switch in ("KEDRO_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
    os.environ.setdefault(_switch, "true")


# On the CPU, oneDNN keeps code for every shape of product it has met, 1024 of them by default. Our
# batches differ in length, so that would grow by gigabytes, and costs more than making it anew.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

# Threads that wait for one another in a loop keep the one they wait for off the core as soon as
# anything else runs on the machine, and an epoch then takes several times as long. Both switches
# are read when torch is loaded, which is later than this.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def __getattr__(name: str) -> Any:
    """`from seqtune import Recommender`, without importing torch before it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'seqtune' has no attribute {name!r}")
    return getattr(import_module("seqtune.tasks.recommend.recommender"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
