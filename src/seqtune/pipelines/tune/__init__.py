"""Staged search: test, quick, narrow, medium, best configuration, and (if asked for) seeds."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
