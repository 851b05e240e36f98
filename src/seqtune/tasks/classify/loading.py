"""Open a checkpoint in memory: a network, or a fitted baseline."""

from __future__ import annotations

from pathlib import Path

from seqtune.core.checkpoint import Which
from seqtune.inference import NETWORK, loader_of

from .network import load_network
from .scorer import Classifier
from .tfidf import TFIDF, load_tfidf

LOADERS = {NETWORK: load_network, TFIDF: load_tfidf}


def load_classifier(path: Path, which: Which = "best", *, device: str | None = None) -> Classifier:
    """Open a checkpoint, on `device` or where it was trained."""
    return loader_of(path, LOADERS)(path, which, device=device)
