"""Sample data to try a task on."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
