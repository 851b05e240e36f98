"""Raw files -> validated, numbered, ordered interactions in Parquet, out of core."""

from .manifest import InteractionsManifest, read_manifest
from .steps import ingest

__all__ = ["InteractionsManifest", "ingest", "read_manifest"]
