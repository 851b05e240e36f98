"""The rows of each batch, and loaders that can resume anywhere; for every task."""

from .chunks import NO_CHUNKS, Chunks, kept
from .loader import Batches, Loader, eval_loader, train_loader
from .order import EvalOrder, Order, Rows, TrainOrder
from .ranks import is_cut, mean_over_ranks, place_among_ranks

__all__ = [
    "NO_CHUNKS",
    "Batches",
    "Chunks",
    "EvalOrder",
    "Loader",
    "Order",
    "Rows",
    "TrainOrder",
    "eval_loader",
    "is_cut",
    "kept",
    "mean_over_ranks",
    "place_among_ranks",
    "train_loader",
]
