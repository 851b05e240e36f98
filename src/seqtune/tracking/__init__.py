"""Log runs to MLflow, TensorBoard and Weights & Biases, beside the catalog.

Sinks write plain records. A sink that fails is dropped and the run goes on: no failure here may end
a training.
"""

from .config import TrackingConfig, choose, require_installed
from .records import Record, checkpoint_record, rows_of_history, trial_record
from .tracker import Sink, Tracker

__all__ = [
    "Record",
    "Sink",
    "Tracker",
    "TrackingConfig",
    "checkpoint_record",
    "choose",
    "require_installed",
    "rows_of_history",
    "trial_record",
]
