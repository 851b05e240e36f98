"""Open trained models for inference: a checkpoint or an ensemble, of any task."""

from .checkpoint import (
    HALF,
    NETWORK,
    CheckpointInfo,
    LoadedCheckpoint,
    autocast,
    loader_of,
    outline,
    read_checkpoint_config,
    read_tensor,
    read_weights,
    select_device,
    weights_must_fit,
)
from .ensemble import MODEL, ModelEnsemble, load_members
from .pool import require_pool, require_weighable, sample_rows
from .predictions import PredictionFiles

__all__ = [
    "HALF",
    "MODEL",
    "NETWORK",
    "CheckpointInfo",
    "LoadedCheckpoint",
    "ModelEnsemble",
    "PredictionFiles",
    "autocast",
    "load_members",
    "loader_of",
    "outline",
    "read_checkpoint_config",
    "read_tensor",
    "read_weights",
    "require_pool",
    "require_weighable",
    "sample_rows",
    "select_device",
    "weights_must_fit",
]
