"""What a run would take, without training anything."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
