"""Training, validation and test parts as memory-mapped arrays."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
