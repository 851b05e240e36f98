"""A checkpoint or an ensemble -> predictions and a submission file."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
