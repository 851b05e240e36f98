"""Training any LightningModule: one function, `fit`, for tuning and for the final model alike.

This room knows neither a task nor Optuna nor Kedro. What it is given: a `TaskSpec`, a resolved
`RunConfig`, opened data, a folder, and a callable that hears of every epoch and may say stop.
"""

from __future__ import annotations

from .fit import FitResult, fit
from .recorder import Report
from .settle import epochs_for_full_data, settle

__all__ = ["FitResult", "Report", "epochs_for_full_data", "fit", "settle"]
