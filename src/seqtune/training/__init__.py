"""Training any LightningModule: one function, `fit`, for tuning and for the final model alike.

`profile_steps` takes a few steps of the very same training and leaves nothing behind.

This room knows neither a task nor Optuna nor Kedro. What it is given: a `TaskSpec`, a resolved
`RunConfig`, opened data, a folder, and a callable that hears of every epoch and may say stop.
"""

from __future__ import annotations

from .auto_values import epochs_for_full_data, resolve_auto
from .available_memory import available_memory_mib
from .fit import FitResult, fit
from .precision import describe_device
from .recorder import Report
from .step_profiler import StepProfile, profile_steps

__all__ = [
    "FitResult",
    "Report",
    "StepProfile",
    "available_memory_mib",
    "describe_device",
    "epochs_for_full_data",
    "fit",
    "profile_steps",
    "resolve_auto",
]
