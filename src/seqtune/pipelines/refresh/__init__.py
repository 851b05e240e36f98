"""New data: train on from the weights of the checkpoint before, and publish what is not worse."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
