"""The vectors of texts by a frozen encoder: computed once for a split, and kept with it.

Shapes: N texts, D hidden.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from seqtune.batching import EvalOrder
from seqtune.inference import autocast, select_device
from seqtune.text.pretrained import identity
from seqtune.text.split import Part

from .data import ClassifyData, model_folder
from .model import build_classifier
from .params import ClassifyConfig

Vectors = npt.NDArray[np.float32]
FILE = "vectors.npy"


def text_vectors(data: ClassifyData, part: Part, config: ClassifyConfig) -> Vectors:
    """Return the vectors of a part [N, D], memory-mapped."""
    model = config.model
    key = {
        "model": identity(model_folder(model)),
        "part": part,
        "max_length": model.token_limit,
        "pooling": model.pooling,
        "precision": config.training.precision,
    }
    folder = data.made("vectors", key, partial(_write, data, part, config))
    found: Vectors = np.load(folder / FILE, mmap_mode="r")
    return found


def _write(data: ClassifyData, part: Part, config: ClassifyConfig, out: Path) -> None:
    tokens = data.tokens(part, config.model)
    device = select_device(None, config.training.accelerator)
    with torch.random.fork_rng(devices=[]):  # a head is drawn, and not used
        model = build_classifier(config.model, num_labels=1).to(device).eval()
    shape = (len(tokens), model.encoder.config.hidden_size)
    found = np.lib.format.open_memmap(out / FILE, mode="w+", dtype=np.float32, shape=shape)
    order = EvalOrder(tokens.lengths, batch_size=config.evaluation.batch_size)
    with torch.inference_mode(), autocast(config.training.precision, device):
        for rows in order.batches():
            ids, real = (torch.from_numpy(a) for a in tokens.padded(rows, pad=model.pad))
            found[rows] = model.encode(ids.to(device), real.to(device)).cpu().numpy()
    found.flush()
