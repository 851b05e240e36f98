"""One configuration -> a versioned checkpoint and its metrics on held-out data."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
