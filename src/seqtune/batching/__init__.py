"""The rows of each batch, and loaders that can resume anywhere; for every task."""

from .chunks import NO_CHUNKS, Chunks, store_chunks
from .loader import Batches, Loader, eval_loader, train_loader
from .order import EvalOrder, Order, Rows, TrainOrder
from .ranks import is_sharded, mean_over_ranks, place_among_ranks

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
    "is_sharded",
    "mean_over_ranks",
    "place_among_ranks",
    "store_chunks",
    "train_loader",
]
