"""Serve an exported model over HTTP, without torch, Kedro or seqtune.

An export is a folder that `kedro run --pipelines export` published. To answer in Python:

    from seqtune_serve import open_model, read_export

    model = open_model(read_export("data/06_models/recommend/export"))

It needs NumPy and onnxruntime; classifying also needs tokenizers, and the server needs FastAPI,
uvicorn and prometheus-client.
"""

from .exports import Export, ExportError, newest_export, read_export
from .models import open_model

__all__ = ["Export", "ExportError", "newest_export", "open_model", "read_export"]
