"""Is the final configuration stable? It is trained again, N times."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
