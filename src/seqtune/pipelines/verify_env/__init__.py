"""Tuning environment = training environment: compared value by value, then proved by running."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
