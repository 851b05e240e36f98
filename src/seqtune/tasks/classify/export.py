"""Export a checkpoint or an ensemble: graphs and tokenisers, as `seqtune_serve` reads them.

    members/<name>/fp32.onnx         ids and real [B, T] -> logits [B, L] (int8.onnx too)
    members/<name>/tokenizer.json    the tokeniser

Labels and thresholds are in the manifest. Shapes: B texts, T time, L labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqtune.core.config import ExportConfig
from seqtune.core.errors import ArtifactError
from seqtune.core.task import Report
from seqtune.inference import sample_rows
from seqtune.inference.export_check import Agreement, networks_of, report_agreement
from seqtune.inference.onnx import EXACT, SMALL, write_graphs
from seqtune.text.split import Part
from seqtune.text.tokens import control_tokens, num_closing
from seqtune_serve.classify import TOKENIZER, ClassifyModel
from seqtune_serve.exports import MEMBERS, Export

from .data import ClassifyData
from .decisions import Decisions
from .ensemble import LoadedClassifiers, open_model
from .metrics import MACRO_F1, decided_metrics
from .network import NetworkClassifier
from .params import PredictConfig
from .predict import choose_thresholds
from .score_normalization import PROBABILITIES

BATCH_SIZE = 32
EXAMPLE = (3, 6)  # B and T of the traced input: not 1, which would not stay variable
SEED = 0


class LabelGraph(nn.Module):
    """Logits of labels."""

    def __init__(self, classifier: NetworkClassifier) -> None:
        super().__init__()
        self.model = classifier.model

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """Return logits [B, L] for tokens [B, T]; `real` is 1 except at padding."""
        logits: Tensor = self.model(ids, real)
        return logits


def export(
    model: Path, data: ClassifyData, predict: PredictConfig, settings: ExportConfig, *, out: Path
) -> tuple[dict[str, Any], Report]:
    """Write an export that decides as `predict` does, and compare both on held-out texts."""
    loaded = open_model(model, predict.weights, device="cpu")
    loaded.require_labels(data)
    networks = networks_of(loaded.members, NetworkClassifier, task="classify")
    exact = LoadedClassifiers(
        loaded.path, {n: each.in_fp32() for n, each in loaded.members.items()}, loaded.ensemble
    )

    def score(part: Part) -> np.ndarray[Any, Any]:
        return loaded.probabilities_of(data, part)

    thresholds, found_by = choose_thresholds(Decisions(loaded, data, score), predict)
    precisions = (EXACT, SMALL) if settings.int8 else (EXACT,)
    members = {}
    for name, share in loaded.shares.items():
        folder = out / MEMBERS / name
        written = _write_member(networks[name], folder, precisions)
        members[name] = {"share": share, **written}
    manifest = {
        "precisions": precisions,
        "scale": loaded.ensemble.manifest.scale if loaded.ensemble else PROBABILITIES,
        "members": members,
        "settings": {
            "labels": list(loaded.labels),
            "thresholds": thresholds.tolist(),
            "thresholds_from": found_by,
            "max_characters": loaded.config.ingest.max_characters,
        },
        "fingerprint": loaded.identity()["fingerprint"],
        "data_hash": loaded.data_hash,
    }
    return manifest, _check(exact, data, Export(out, {"task": "classify", **manifest}), settings)


def _write_member(
    member: NetworkClassifier, folder: Path, precisions: tuple[str, ...]
) -> dict[str, Any]:
    """Write the graphs and the tokeniser of one model; return its settings."""
    backend = getattr(member.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ArtifactError(
            f"{member.path}: its tokeniser is written in Python and cannot be exported; train "
            "with a model that has a tokenizer.json"
        )
    real = torch.ones(EXAMPLE, dtype=torch.int64)
    real[0, -1] = 0  # some models leave out a mask without padding
    inputs = {"ids": torch.ones_like(real), "real": real}
    write_graphs(LabelGraph(member), inputs, ("logits",), folder, precisions=precisions)
    backend.save(str(folder / TOKENIZER))
    encoder = {
        "limit": member.config.model.token_limit,
        "num_closing": num_closing(member.tokenizer),
        "control": sorted(control_tokens(member.tokenizer)),
        "pad": member.model.pad,
    }
    return {"encoder": encoder}


def _check(
    exact: LoadedClassifiers, data: ClassifyData, export: Export, settings: ExportConfig
) -> Report:
    """Compare probabilities and decisions on texts of valid, or of training without any."""
    part: Part = "valid" if data.has_validation else "train"
    rows = sample_rows(data.num_rows(part), settings.check_rows, seed=SEED)
    texts = [data.texts(part)[row] for row in rows]
    thresholds = np.array(export.settings["thresholds"])
    trained = exact.probabilities(texts, batch_size=BATCH_SIZE)
    found: dict[str, Agreement] = {}
    for precision in export.manifest["precisions"]:
        served = ClassifyModel.open(export, precision=precision, num_threads=1)
        pieces = [texts[n : n + BATCH_SIZE] for n in range(0, len(texts), BATCH_SIZE)]
        exported = np.concatenate([*map(served.probabilities, pieces)])
        found[precision] = agreement = Agreement("decisions", MACRO_F1)
        agreement.compare(trained, exported)
        agreement.equal = ((trained >= thresholds) == (exported >= thresholds)).mean(1).tolist()
        if data.has_validation:
            targets = data.targets(part)[rows]
            agreement.values = {
                who: decided_metrics(scores, targets, thresholds)[MACRO_F1]
                for who, scores in (("trained", trained), ("exported", exported))
            }
        if precision == EXACT:
            agreement.require(settings)
    return report_agreement(found, num_rows=len(rows))
