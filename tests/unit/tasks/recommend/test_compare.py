"""Models, baselines and the lists of other systems, scored on the same users."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.config import CompareConfig
from seqtune.core.errors import ConfigurationError, DataError
from seqtune.tasks.recommend.batches import eval_batches
from seqtune.tasks.recommend.compare import score_rows
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.ensemble import open_model
from seqtune.tasks.recommend.evaluate import evaluate
from seqtune.tasks.recommend.segments import segments_of
from seqtune.tasks.recommend.topk import top_k

from .split_folders import favouring, random_model, tiny_config, write_checkpoint, write_split

NAMES = ["a", "b", "c", "d", "e", "f"]
#            train | valid | test
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2]]
VALID = CompareConfig(metric="mrr@10")


@pytest.fixture
def data(tmp_path: Path) -> SplitData:
    return write_split(tmp_path / "split", SEQUENCES, item_ids=NAMES, user_ids=["u", "v", "w"])


@pytest.fixture
def checkpoint(tmp_path: Path, data: SplitData) -> Path:
    config = tiny_config()
    # everybody's order is 5, 4, 1, 2, 3, 6
    model = favouring(5, 4, data=data, config=config)
    return write_checkpoint(tmp_path / "checkpoint", model, config, data)


def listed(tmp_path: Path, text: str, name: str = "theirs.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def scored(
    checkpoint: Path, data: SplitData, *answers: Path, settings: CompareConfig = VALID
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """The metric of every user, by system."""
    rows, facts = score_rows(
        {"model": checkpoint}, answers, data, settings, scratch=checkpoint.parent
    )
    return {name: values.tolist() for name, values in rows.values.items()}, facts


def test_models_and_baselines_rank_as_evaluate_ranks_them(
    checkpoint: Path, data: SplitData
) -> None:
    full = evaluate(checkpoint, data)["parts"]["valid"]["full_ranking"]
    values, _ = scored(checkpoint, data)
    assert values["model"] == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    assert list(values) == ["model", "item_to_item", "markov", "popularity"]
    for name, own in values.items():
        assert np.mean(own) == pytest.approx(full["mrr@10"][name], rel=1e-12)


def test_lists_by_hand(checkpoint: Path, data: SplitData, tmp_path: Path) -> None:
    # u wants d: c is seen, e before it. v wants b (seen, but the target): f ties with it.
    # w wants f: it is not listed
    text = "user,item,score\nu,e,9\nu,d,7\nu,c,8\nv,f,1\nv,b,1\nw,d,3\nw,e,2\n"
    values, facts = scored(checkpoint, data, listed(tmp_path, text))
    assert values["theirs"] == [1 / 2, 1 / 2, 0.0]
    assert facts["lists"]["theirs"]["items_of_the_history"] == 1
    assert facts["lists"]["theirs"]["longest_list"] == 3
    assert facts["headline"] == [
        "theirs: no list is longer than 3 items, so later places of the first 10 count as misses"
    ]


def test_rank_counts_where_there_are_both_and_a_missing_list_is_a_miss(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    text = "user;item;rank;score\nu;d;1;0.1\nu;e;2;0.9\nv;f;1;1\nv;b;3;5\n"
    values, facts = scored(checkpoint, data, listed(tmp_path, text))
    assert values["theirs"] == [1.0, 1 / 2, 0.0]
    assert "theirs: 1 users have no list, which counts as a miss" in facts["headline"]


def test_lists_made_after_the_held_out_item_are_suspected(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    text = "user,item,rank\nu,f,1\nv,d,1\nw,d,1\n"
    _, facts = scored(checkpoint, data, listed(tmp_path, text))
    assert any("Were the lists made from whole histories?" in line for line in facts["headline"])


@pytest.mark.parametrize("part", ["valid", "test"])
def test_the_model_s_own_lists_score_as_the_model(tmp_path: Path, part: Any) -> None:
    generator = np.random.default_rng(0)
    sequences = [generator.integers(1, 41, size=size).tolist() for size in (3, 9, 20, 5, 12) * 4]
    data = write_split(tmp_path / "many", sequences, item_ids=list(range(100, 140)))
    config = tiny_config()
    checkpoint = write_checkpoint(tmp_path / "one", random_model(config, data), config, data)
    model, rows = open_model(checkpoint), []
    for batch in eval_batches(data, part, max_len=model.max_len, batch_size=7):
        lists = top_k(
            model.scores(batch.inputs), 10, exclude=_seen_without_targets(batch)
        ).items.tolist()
        users = batch.users.tolist()
        rows += [
            (u + 100, i + 99, r)
            for u, own in zip(users, lists, strict=True)
            for r, i in enumerate(own, start=1)
            if i
        ]
    columns = dict(zip(("user", "item", "rank"), zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table({k: list(v) for k, v in columns.items()}), tmp_path / "own.parquet")
    settings = CompareConfig(part=part, metric="ndcg@10")
    values, _ = scored(checkpoint, data, tmp_path / "own.parquet", settings=settings)
    assert values["own"] == values["model"]
    assert max(values["own"]) > 0


def _seen_without_targets(batch: Any) -> Any:
    keep = batch.seen_items != batch.targets[batch.seen_rows]
    return batch.seen_rows[keep], batch.seen_items[keep]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("user,item\nu,a\n", ["no column rank and none score"]),
        (
            "user,item,rank\nu,a,1\nx,b,1\nu,zz,2\ny,zz,2\nx,a,3\n",
            [
                "2 unknown users in 3 of 5 rows ('x', 'y'; known is 'u', for example)",
                "1 unknown items in 2 of 5 rows ('zz'; known is 'a', for example)",
            ],
        ),
        (
            "user,item,rank\nu,a,1\nu,b,\nv,a,nan\n",
            ["2 of 3 rows have no finite rank (lines 3, 4)"],
        ),
        (
            "user,item,rank\nu,a,1\n,b,2\nv,,1\nu,a,7\n",
            [
                "1 of 4 rows have no user (line 3)",
                "1 of 4 rows have no item (line 4)",
                "1 of 4 rows have a user and an item that were listed before (line 5)",
            ],
        ),
        ("user,item,score\n1,2,0.5\n", ["1 unknown users", "1 unknown items in 1 of 1 rows ('2';"]),
    ],
)
def test_bad_lists_get_one_error_with_counts(
    checkpoint: Path, data: SplitData, tmp_path: Path, text: str, faults: list[str]
) -> None:
    with pytest.raises(DataError, match=r"theirs\.csv") as raised:
        scored(checkpoint, data, listed(tmp_path, text))
    for fault in faults:
        assert fault in str(raised.value)


def test_systems_have_names_of_their_own(checkpoint: Path, data: SplitData, tmp_path: Path) -> None:
    path = listed(tmp_path, "user,item,rank\nu,a,1\n", name="markov.csv")
    with pytest.raises(DataError, match="another system 'markov'; rename the file"):
        scored(checkpoint, data, path)


def test_an_unknown_metric_and_an_absent_part_are_refused(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("'f1@10' is not a metric")):
        scored(checkpoint, data, settings=CompareConfig(metric="f1@10"))
    whole = write_split(tmp_path / "whole", [[1], [2]], item_ids=NAMES, user_ids=["u", "v"])
    with pytest.raises(ConfigurationError, match="holds out no valid items"):
        scored(checkpoint, whole)


def test_segments_are_thirds_and_new_targets() -> None:
    lengths = np.array([1, 2, 3, 4, 5, 6])
    counts = np.array([0, 1, 9, 1, 5, 0])
    found = {segment.name: segment for segment in segments_of(lengths, counts)}
    rows = {name: segment.rows.nonzero()[0].tolist() for name, segment in found.items()}
    assert rows == {
        "short histories": [0, 1],
        "medium histories": [2, 3],
        "long histories": [4, 5],
        "rare targets": [1, 3],
        "medium targets": [4],
        "popular targets": [2],
        "new targets": [0, 5],
    }
    assert found["short histories"].bounds == "1 to 2 items"
    assert found["popular targets"].bounds == "9 times in training"


def test_equal_users_are_one_segment() -> None:
    found = segments_of(np.array([4, 4, 4]), np.array([0, 0, 0]))
    assert [(one.name, one.bounds) for one in found] == [
        ("short histories", "4 items"),
        ("new targets", "never in training"),
    ]
