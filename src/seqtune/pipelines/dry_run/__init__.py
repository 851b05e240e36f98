"""Estimate what a run takes, without training."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
