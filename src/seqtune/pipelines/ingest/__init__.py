"""Raw files -> validated, id-mapped, versioned Parquet."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
