"""Several trained models, weighed on valid, scored on test once, and handed to predict as one."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
