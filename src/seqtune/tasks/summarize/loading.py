"""Open a checkpoint in memory: a network, or a baseline."""

from __future__ import annotations

from pathlib import Path

from seqtune.core.checkpoint import Which
from seqtune.inference import NETWORK, loader_of

from .baselines import LEAD_3
from .extractor import load_extractor
from .scorer import Summarizer, load_network

LOADERS = {NETWORK: load_network, LEAD_3: load_extractor}


def load_summarizer(path: Path, which: Which = "best", *, device: str | None = None) -> Summarizer:
    """Load a checkpoint, on `device` or where it was trained."""
    return loader_of(path, LOADERS)(path, which, device=device)
