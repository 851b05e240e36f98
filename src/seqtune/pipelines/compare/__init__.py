"""Models, baselines and the lists of other systems -> differences with intervals and p-values."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
