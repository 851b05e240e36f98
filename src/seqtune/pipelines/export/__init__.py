"""A checkpoint or an ensemble -> a folder that `seqtune-serve` serves."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
