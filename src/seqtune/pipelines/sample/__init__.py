"""Generated films and viewers: data to try everything on."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
