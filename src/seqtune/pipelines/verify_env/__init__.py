"""Check that tuning and training are the same: compare every value, then run both."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
