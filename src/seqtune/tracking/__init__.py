"""Where a run is written down beside the catalog: MLflow, TensorBoard, Weights & Biases.

Plain records go in, sinks put them where they belong. A sink that fails is left out, and the run
goes on: nothing here may cost anybody a night of training.
"""

from .config import TrackingConfig, choose, require_installed
from .records import Kind, Record, checkpoint_record, rows_of_history, trial_record
from .tracker import Sink, Tracker

__all__ = [
    "Kind",
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
