"""Export a checkpoint or an ensemble: graphs, counts and vocabulary, as `seqtune_serve` reads them.

    items.json                     raw ids, in the order of item numbers
    train_counts.npy               how often each item occurred in training
    members/<name>/fp32.onnx       items [B, T] -> scores [B, V] and hidden [B, D] (int8.onnx too)
    members/<name>/vectors.parquet item, vector and bias: score = hidden @ vector + bias
    members/<name>/*.npy           the item-to-item counts, where they are mixed in

Shapes: B batch (users), T time, D hidden, V items, U users, K length of a list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from seqtune.core.columns import ITEM
from seqtune.core.config import ExportConfig
from seqtune.core.task import Report
from seqtune.inference.export_check import Agreement, networks_of, report_agreement
from seqtune.inference.onnx import EXACT, SMALL, write_graphs
from seqtune_serve import counts as counts_files
from seqtune_serve.exports import MEMBERS, Export
from seqtune_serve.recommend import ITEMS, TRAIN_COUNTS, ListRequest, RecommendModel

from .batches import EvalBatches, evaluation, training_sample, users_at_once
from .cooccurrence import DECAY, LAST_ITEMS, Cooccurrence
from .data import Int64, SplitData
from .ensemble import Scorer, open_model
from .loading import LoadedNetwork
from .models.base import SequenceModel
from .params import PredictConfig
from .score_normalization import LOG_SOFTMAX
from .sequences import ListRequest as TrainedRequest
from .sequences import Sequences, recommend
from .vocabulary import item_ids

TOP = 10
NDCG = f"ndcg@{TOP}"
EXAMPLE = (7, 6)  # B and T of the traced input: not 1, which would not stay variable


class NextItemGraph(nn.Module):
    """Scores of the next item; the input ends in [MASK]."""

    def __init__(self, model: SequenceModel[Any]) -> None:
        super().__init__()
        self.model = model.without_sides()
        self.output = model.output_layer()

    def forward(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores [B, V] and hidden states [B, D] for items int64 [B, T]."""
        hidden = self.model.last_hidden(self.model.answered_from(items)).float()
        return self.output(hidden), hidden


def export(
    model: Path, data: SplitData, predict: PredictConfig, settings: ExportConfig, *, out: Path
) -> tuple[dict[str, Any], Report]:
    """Write an export that recommends as `predict` does, and compare both on real histories."""
    loaded = open_model(model, predict.weights, device="cpu")
    loaded.require_assets(data.assets_hash, what=str(data.path))
    networks = networks_of(loaded.members, LoadedNetwork, task="recommend")
    ids = item_ids(data.path, num_items=data.num_items)
    (out / ITEMS).write_text(json.dumps(ids.to_pylist(), ensure_ascii=False), encoding="utf-8")
    np.save(out / TRAIN_COUNTS, np.asarray(data.train_counts))
    precisions = (EXACT, SMALL) if settings.int8 else (EXACT,)
    members = {}
    for name, share in loaded.shares.items():
        folder = out / MEMBERS / name
        written = _write_member(networks[name], ids, folder, precisions)
        members[name] = {"share": share, **written}
    manifest = {
        "precisions": precisions,
        "scale": loaded.ensemble.manifest.scale if loaded.ensemble else LOG_SOFTMAX,
        "members": members,
        "settings": {"top_k": predict.top_k, "exclude_seen": predict.exclude_seen},
        "fingerprint": loaded.identity()["fingerprint"],
        "data_hash": loaded.data_hash,
    }
    return manifest, _check(loaded, data, Export(out, {"task": "recommend", **manifest}), settings)


def _write_member(
    member: LoadedNetwork, ids: pa.Array, folder: Path, precisions: tuple[str, ...]
) -> dict[str, Any]:
    """Write the graphs and tables of one model; return its settings."""
    graph, model = NextItemGraph(member.model), member.model
    example = torch.ones(EXAMPLE[0], min(EXAMPLE[1], model.max_len), dtype=torch.int64)
    write_graphs(graph, {"items": example}, ("scores", "hidden"), folder, precisions=precisions)
    vectors = graph.output.weight.detach().numpy()  # [V, D]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    biases = pa.array(graph.output.bias.detach().numpy())
    pq.write_table(
        pa.table({ITEM: ids, "vector": lists, "bias": biases}), folder / "vectors.parquet"
    )
    counts = None
    if model.counts is not None:
        _write_counts(model.counts, model.num_items, folder)
        decay = [DECAY**place for place in range(LAST_ITEMS)]
        counts = {"share": float(model.share), "decay": decay}
    return {"max_len": member.max_len, "counts": counts}


def _write_counts(counts: Cooccurrence, num_items: int, folder: Path) -> None:
    pairs, base = counts.pairs.numpy(), num_items + 2
    starts = np.searchsorted(pairs, np.arange(base) * base)
    np.save(folder / counts_files.STARTS, starts)
    np.save(folder / counts_files.NEIGHBOURS, (pairs % base).astype(np.int32))
    np.save(folder / counts_files.WEIGHTS, counts.weights.numpy())


def _check(loaded: Scorer, data: SplitData, export: Export, settings: ExportConfig) -> Report:
    """Compare scores and lists on held-out histories, or on those of training without any."""
    members = {name: member.in_fp32() for name, member in loaded.members.items()}
    exact = Scorer(loaded.path, members, loaded.ensemble)
    rows, batches = _sample(data, settings.check_rows, max_len=loaded.max_len)
    computed_in = {member.config.training.precision for member in loaded.members.values()}
    found: dict[str, Agreement] = {}
    for precision in export.manifest["precisions"]:
        served = RecommendModel.open(export, precision=precision, num_threads=1)
        found[precision] = agreement = Agreement(f"top_{TOP}_items", NDCG)
        _compare(exact, served, batches, rows, agreement)
        if precision == EXACT:
            agreement.require(settings)
            if computed_in != {"fp32"}:
                name = f"{EXACT} beside predict in {' and '.join(sorted(computed_in))}"
                found[name] = Agreement(f"top_{TOP}_items", NDCG)
                _compare(loaded, served, batches, rows, found[name])
    if not data.has_validation:
        for agreement in found.values():
            agreement.values = {}  # of what it was trained on
    return report_agreement(found, num_rows=len(rows))


def _sample(data: SplitData, most: int, *, max_len: int) -> tuple[Int64, EvalBatches]:
    """Return the histories to compare on, and which of them."""
    generator = np.random.default_rng(0)
    if not data.has_validation:
        batches = training_sample(data, num_users=most, max_len=max_len, generator=generator)
    else:
        batches = evaluation(data, "valid", max_len=max_len)
    rows = np.flatnonzero(batches.histories.lengths)
    return np.sort(generator.permutation(rows)[:most]), batches


def _compare(
    exact: Scorer, served: RecommendModel, batches: EvalBatches, rows: Int64, agreement: Agreement
) -> None:
    gains: dict[str, list[float]] = {"trained": [], "exported": []}
    size = users_at_once(64, num_items=exact.num_items)
    excludes = served.export.settings["exclude_seen"]
    for start in range(0, len(rows), size):
        batch = batches[rows[start : start + size]]
        offsets = np.append(0, np.bincount(batch.seen_rows.numpy()).cumsum())
        items = batch.seen_items.numpy()
        histories = [h.tolist() for h in np.split(items, offsets[1:-1])]
        agreement.compare(exact.scores(batch.inputs).numpy(), served.scores(histories))
        wanted = TrainedRequest(TOP, exclude_seen=excludes)
        sequences = Sequences(items.astype(np.int32), offsets)
        trained = recommend(exact, served.train_counts, sequences, wanted).items.tolist()
        answers = served.answer(
            [ListRequest([served.ids[n - 1] for n in h], TOP) for h in histories]
        )
        for own, answer, target in zip(trained, answers, batch.targets.tolist(), strict=True):
            exported = [served.numbers[line["item"]] for line in answer["items"]]
            listed = set(own) - {0}
            agreement.equal.append(len(listed & set(exported)) / max(1, len(listed)))
            gains["trained"].append(_gain(own, target))
            gains["exported"].append(_gain(exported, target))
    agreement.values = {who: float(np.mean(values)) for who, values in gains.items()}


def _gain(items: list[int], target: int) -> float:
    return 1.0 / float(np.log2(items.index(target) + 2)) if target in items else 0.0
