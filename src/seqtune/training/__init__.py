"""Train any LightningModule: `fit` serves tuning and final models alike; `profile_steps` takes a
few steps of the same training and leaves nothing behind.

Knows no task, no Optuna and no Kedro: the caller passes a `TaskSpec`, a resolved `RunConfig`, data,
a folder, and a callback that is called after every epoch and can stop the run.
"""

from __future__ import annotations

from .auto_values import resolve_auto, values_for_full_data
from .costs import TrainingCosts
from .fit import FitResult, fit
from .memory import available_memory_mib
from .precision import describe_device
from .step_profiler import StepProfile, profile_steps
from .warm_start import carry_over

__all__ = [
    "FitResult",
    "StepProfile",
    "TrainingCosts",
    "available_memory_mib",
    "carry_over",
    "describe_device",
    "fit",
    "profile_steps",
    "resolve_auto",
    "values_for_full_data",
]
