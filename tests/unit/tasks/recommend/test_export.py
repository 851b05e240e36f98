"""What is exported recommends as `predict` does, counts and members included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seqtune import Recommender
from seqtune.core.config import ExportConfig
from seqtune.core.task import Report
from seqtune.tasks.recommend.cooccurrence import Cooccurrence
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.export import export
from seqtune.tasks.recommend.models import build_model
from seqtune.tasks.recommend.params import PredictConfig
from seqtune_serve.exports import Export
from seqtune_serve.recommend import ListRequest, RecommendModel

from .split_folders import tiny_config, write_checkpoint, write_ensemble, write_split

NUM_ITEMS = 40
MODELS = {
    "causal": {
        "objective": "causal",
        "relative_positions": True,
        "filter_share": 0.5,
        "item_to_item": 0.4,
        "num_layers": 2,
    },
    "cloze": {"max_len": 4, "share_embeddings": False},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SplitData:
    random = np.random.default_rng(0)
    sequences = [random.integers(1, NUM_ITEMS + 1, n).tolist() for n in (3, 5, 9, 12, 4, 7)]
    folder = tmp_path_factory.mktemp("export") / "split"
    return write_split(folder, sequences, item_ids=list(range(100, 100 + NUM_ITEMS)))


def ensemble_of(data: SplitData, folder: Path) -> Path:
    checkpoints = {}
    for (name, values), share in zip(MODELS.items(), (0.75, 0.25), strict=True):
        config = tiny_config(**values)
        counts = Cooccurrence.of(data) if config.model.item_to_item else None
        model = build_model(config.model, num_items=NUM_ITEMS, sides={}, counts=counts).eval()
        checkpoints[write_checkpoint(folder / name, model, config, data)] = share
    return write_ensemble(folder / "ensemble", checkpoints)


@pytest.fixture(scope="module")
def exported(
    data: SplitData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RecommendModel, Report]:
    """An ensemble, its export, and the report of that."""
    folder = tmp_path_factory.mktemp("exported")
    trained, out = ensemble_of(data, folder), folder / "export"
    out.mkdir()
    settings = ExportConfig(int8=False)
    manifest, report = export(trained, data, PredictConfig(top_k=7), settings, out=out)
    opened = Export(out, {"task": "recommend", **manifest})
    return trained, RecommendModel.open(opened, precision="fp32", num_threads=1), report


Exported = tuple[Path, RecommendModel, Report]


def test_an_ensemble_recommends_as_it_does_in_python(exported: Exported) -> None:
    trained, served, _ = exported
    histories = [[101], [], [139, 100, 120, 121, 122, 123, 124, 125, 126], [7, 110]]
    requests = [ListRequest(history, exclude=[105, 106]) for history in histories]
    wanted = Recommender.load(trained).recommend(histories, 7, exclude=[105, 106])

    for answer, rows in zip(served.answer(requests), wanted, strict=True):
        assert [line["item"] for line in answer["items"]] == [row.item for row in rows]
        assert [line["score"] for line in answer["items"]] == pytest.approx(
            [row.score for row in rows], abs=1e-4
        )
        assert answer["source"] == rows[0].source


def test_the_report_says_how_far_both_agree(exported: Exported) -> None:
    found = exported[2]["checks"]["fp32"]
    assert found["largest_difference"] < 1e-4
    assert found["equal_top_10_items"] == 1.0
    assert found["ndcg@10_lost"] == 0.0


def test_vectors_for_an_index_give_the_scores_of_the_graph(exported: Exported) -> None:
    _, served, _ = exported
    items = np.array([[3, 4, NUM_ITEMS + 1]])
    for name, graph in served.graphs.items():
        table = pq.read_table(served.export.path / "members" / name / "vectors.parquet")
        vectors = np.array(table["vector"].to_pylist())
        scores = graph("hidden", items=items) @ vectors.T + table["bias"].to_numpy()
        assert scores == pytest.approx(graph("scores", items=items), abs=1e-4)
        assert table["item"].to_pylist() == served.ids
