"""Several trained models, weighed on valid, scored on test once, and used by predict as one."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
