"""Side tables under any name: what is declared, switched on, and called in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Layer, resolve
from seqtune.tasks.recommend.data import Side
from seqtune.tasks.recommend.models import build_model, load_model
from seqtune.tasks.recommend.params import RecommendConfig, side_names
from seqtune.tasks.recommend.side_values import number_side

SHIPPED = ("genre", "director", "writer", "title")


def resolved(values: dict[str, Any]) -> RecommendConfig:
    return resolve(RecommendConfig, Layer("conf", values), root="recommend").config


def test_others_are_declared_beside_the_shipped_ones() -> None:
    config = resolved({"ingest": {"sides": {"brand": "category", "blurb": "text"}}})
    assert side_names(config) == (*SHIPPED, "brand", "blurb")
    assert config.ingest.sides.kinds["blurb"] == "text"
    again = RecommendConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert again != RecommendConfig()


def test_switches_and_names_say_the_same() -> None:
    config = resolved(
        {
            "ingest": {"sides": {"brand": "category"}},
            "model": {"use_title_emb": True, "side_embeddings": ["brand", "title", "genre"]},
        }
    )
    assert config.model.sides == ("title", "brand", "genre")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"side_embeddings": ["gener"]}}, r"names 'gener', which is not.*genre"),
        ({"ingest": {"sides": {"brand": "categories"}}}, r"ingest\.sides\.brand='categories'"),
        ({"ingest": {"sides": {"a-b": "text"}}}, r"'a-b' is not a valid name of a side table"),
        ({"ingest": {"sides": {"interactions": "text"}}}, r"'interactions' is not a valid name"),
        ({"ingest": {"sides": {"brand": {"kind": "text"}}}}, r"ingest\.sides\.brand"),
    ],
)
def test_what_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolved(values)


def test_kind_says_whether_words_or_values_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "side.parquet"
    pq.write_table(pa.table({"item": [1, 2, 3], "value": ["big dog", "big cat", "dog"]}), path)
    assert number_side(path, "blurb", "category", 3, out=tmp_path) == 3
    assert number_side(path, "blurb", "text", 3, out=tmp_path) == 2  # big, dog
    assert np.load(tmp_path / "side_blurb_values.npy").tolist() == [1, 2, 1, 2]


def test_a_name_that_torch_uses_itself_is_no_trouble() -> None:
    config = resolved(
        {
            "ingest": {"sides": {"type": "category", "keys": "category"}},
            "model": {"side_embeddings": ["type", "keys"], "hidden_units": 8, "num_heads": 2},
        }
    )
    side = Side(np.array([1, 2, 1], np.int32), np.array([0, 0, 1, 2, 3]), num_values=2)
    model = build_model(config.model, num_items=3, sides={"type": side, "keys": side})
    weights = model.state_dict()
    assert "sides.type_.embedding.weight" in weights
    again = load_model(config.model, weights)
    assert set(again.state_dict()) == set(weights)


@pytest.mark.parametrize("shared", [True, False])
def test_tables_of_an_export_hold_the_side_values(shared: bool) -> None:
    config = resolved(
        {
            "model": {
                "use_genre_emb": True,
                "share_embeddings": shared,
                "hidden_units": 8,
                "num_heads": 2,
                "init_std": 0.5,
            }
        }
    )
    side = Side(np.array([1, 2, 1], np.int32), np.array([0, 0, 1, 2, 3]), num_values=2)
    model = build_model(config.model, num_items=3, sides={"genre": side}).eval()
    alone, output = model.without_sides(), model.output_layer()
    items = torch.tensor([[0, 1, 3, 4], [2, 2, 1, 4]])

    with torch.no_grad():
        hidden = model.last_hidden(items)
        assert torch.equal(alone.last_hidden(items), hidden)
        assert torch.allclose(output(hidden), model.next_item_scores(items))
    assert len(alone.sides) == 0
    assert len(model.sides) == 1
