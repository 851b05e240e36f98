"""One configuration -> a versioned checkpoint and its honest metrics."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
