"""A checkpoint, opened: configuration, weights, and where they compute, whatever the task."""

from .weights import HALF, Described, Trained, config_of, place, weights_of

__all__ = ["HALF", "Described", "Trained", "config_of", "place", "weights_of"]
