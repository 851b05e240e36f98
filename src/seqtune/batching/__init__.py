"""Which rows make up which batch, and loaders that can stop and go on anywhere: for every task."""

from .loader import Batches, Loader, place_among_ranks
from .order import EvalOrder, Order, Rows, TrainOrder

__all__ = [
    "Batches",
    "EvalOrder",
    "Loader",
    "Order",
    "Rows",
    "TrainOrder",
    "place_among_ranks",
]
