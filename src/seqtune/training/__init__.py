"""Training any LightningModule: one function, `fit`, for tuning and for the final model alike.

`rehearse` takes a few steps of the very same training and leaves nothing behind.

This room knows neither a task nor Optuna nor Kedro. What it is given: a `TaskSpec`, a resolved
`RunConfig`, opened data, a folder, and a callable that hears of every epoch and may say stop.
"""

from __future__ import annotations

from .capacity import memory_here_mib
from .fit import FitResult, fit
from .precision import describe_device
from .recorder import Report
from .rehearsal import Rehearsal, rehearse
from .settle import epochs_for_full_data, settle

__all__ = [
    "FitResult",
    "Rehearsal",
    "Report",
    "describe_device",
    "epochs_for_full_data",
    "fit",
    "memory_here_mib",
    "rehearse",
    "settle",
]
