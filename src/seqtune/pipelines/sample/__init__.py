"""Sample data to try a task with."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
