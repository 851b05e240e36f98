"""Rules of `predict` and of `Recommender`: files of items, quotas, diversity, and their cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from seqtune import Recommender, Rules
from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.task import Report
from seqtune.tasks.recommend.data import Side, SplitData
from seqtune.tasks.recommend.params import PredictConfig
from seqtune.tasks.recommend.predict import predict

from .split_folders import favouring, random_model, tiny_config, write_checkpoint, write_split

NAMES = ["a", "b", "c", "d", "e", "f"]
USERS = ["u", "v", "w", "new", "7"]
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2], [], []]  # training counts 3 2 2 0 0 0
GENRE = Side(
    values=np.array([1, 1, 2, 1, 1, 2], np.int32), offsets=np.arange(-1, 7).clip(0), num_values=2
)
"""a, b, d and e are of one genre, c and f of another."""


@pytest.fixture
def data(tmp_path: Path) -> SplitData:
    return write_split(tmp_path / "split", SEQUENCES, user_ids=USERS, item_ids=NAMES)


@pytest.fixture
def checkpoint(tmp_path: Path, data: SplitData) -> Path:
    config = tiny_config()
    # everybody's order is e, d, a, b, c, f
    model = favouring(5, 4, data=data, config=config)
    return write_checkpoint(tmp_path / "checkpoint", model, config, data)


def predicted(
    checkpoint: Path,
    data: SplitData,
    tmp_path: Path,
    *,
    new_rows: tuple[Path, ...] = (),
    **how: Any,
) -> tuple[dict[str, list[str]], Report]:
    """Lists by user, and the report; `allow` and `deny` are the text of files."""
    sources = {}
    for role in ("allow", "deny"):
        if text := how.pop(role, ""):
            sources[role] = (tmp_path / f"{role}.csv",)
            sources[role][0].write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    settings = PredictConfig.model_validate({"top_k": 3, "batch_size": 2, **how})
    report = predict(checkpoint, data, settings, new_rows=new_rows, out=out, sources=sources)
    found: dict[str, list[str]] = {}
    for row in pq.read_table(out / "predictions.parquet").to_pylist():
        found.setdefault(row["user"], []).append(row["item"])
    return found, report


def test_denied_for_everybody_and_for_one(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    found, report = predicted(checkpoint, data, tmp_path, deny="user,item\n,e\nv,d\nnew,a\nnew,c\n")
    assert found == {
        "u": ["f"],
        "v": ["f"],
        "w": ["d"],
        "new": ["b", "d", "f"],
        "7": ["a", "b", "c"],
    }
    assert report["rules"]["deny"] == {"rows": 4, "unknown_items": 0, "other_users": 0}
    assert "that the rules allow" in report["headline"][2]


def test_allowed_for_everybody_and_for_one(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    found, _ = predicted(
        checkpoint, data, tmp_path, allow="item;user\nd;\nf;\na;\nd;v\ne;v\nf;7\nzz;w\n"
    )
    # w may get an unknown item alone, so there is nothing to recommend
    assert found == {"u": ["f"], "v": ["d"], "new": ["a", "d", "f"], "7": ["f"]}


def test_a_file_of_items_alone_is_for_everybody(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    found, _ = predicted(checkpoint, data, tmp_path, allow="item\nd\nf\n", deny="item\nf\n")
    assert found == {"v": ["d"], "w": ["d"], "new": ["d"], "7": ["d"]}


def test_rules_are_for_users_of_the_file_of_new_users(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    new = tmp_path / "new.csv"
    new.write_text("user,item\n8,a\n9,\n10,a\n", encoding="utf-8")
    found, report = predicted(
        checkpoint, data, tmp_path, new_rows=(new,), deny="user,item\n10,e\n9,b\nu,d\n"
    )
    assert found == {8: ["e", "d", "b"], 9: ["a", "c", "d"], 10: ["d", "b", "c"]}
    assert report["rules"]["deny"]["other_users"] == 1


def test_unknown_items_are_counted_and_said(
    checkpoint: Path, data: SplitData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, report = predicted(checkpoint, data, tmp_path, deny="user,item\n,zz\nv,zz\n,a\n")
    assert report["rules"]["deny"]["unknown_items"] == 2
    assert found["u"] == ["f"]
    assert "1 unknown items in 2 of 3 rows ('zz'; known is 'a', for example) can be" in caplog.text


def test_rules_that_leave_nothing_and_rows_without_an_item_are_refused(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"allow\.csv leave none of the 6 items"):
        predicted(checkpoint, data, tmp_path, allow="item\nzz\n")
    with pytest.raises(DataError, match=r"1 of 2 rows have no item \(line 3\)"):
        predicted(checkpoint, data, tmp_path, allow="user,item\nu,a\nv,\n")


def test_quotas_by_a_side_table_and_their_cost(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    data = replace(data, sides={"genre": GENRE})
    found, report = predicted(checkpoint, data, tmp_path, quotas={"genre": 1})
    assert found == {
        "u": ["f"],
        "v": ["e", "f"],
        "w": ["e"],
        "new": ["a", "c"],
        "7": ["a", "c"],
    }
    # on valid the targets d, b, f are at places 2, 3 and 4 of e, d, a, b, c, f without what was
    # seen: u e d f, v e d b, w e d b f. With one of a genre: u e f, v e f, w e f
    cost = report["rules"]["cost"]
    assert cost["without"] == pytest.approx((1 / np.log2(3) + 1 / np.log2(4)) / 3)
    assert cost["with"] == pytest.approx((1 / np.log2(3)) / 3)
    assert cost["difference"] == pytest.approx(-1 / np.log2(4) / 3)
    assert any("quotas and diversity change valid ndcg@3" in one for one in report["headline"])


def test_a_quota_looks_beyond_the_candidates_where_a_list_would_be_short(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    data = replace(data, sides={"genre": GENRE})
    found, _ = predicted(checkpoint, data, tmp_path, quotas={"genre": 1}, candidates=1, top_k=2)
    assert found["v"] == ["e", "f"]


def test_a_quota_of_an_unknown_table_is_refused(
    checkpoint: Path, data: SplitData, tmp_path: Path
) -> None:
    data = replace(data, sides={"genre": GENRE})
    with pytest.raises(ConfigurationError, match=r"'gerne' is not a side table.*'genre'"):
        predicted(checkpoint, data, tmp_path, quotas={"gerne": 1})


def test_diversity_changes_lists_and_says_what_it_costs(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sequences = [generator.integers(1, 31, size=9).tolist() for _ in range(20)]
    data = write_split(tmp_path / "many", sequences, item_ids=[f"i{n}" for n in range(30)])
    config = tiny_config()
    checkpoint = write_checkpoint(tmp_path / "one", random_model(config, data), config, data)
    plain, before = predicted(checkpoint, data, tmp_path)
    spread, after = predicted(checkpoint, data, tmp_path, diversity=0.7)
    assert before["rules"] == {}
    assert [row[0] for row in plain.values()] == [row[0] for row in spread.values()]
    assert plain != spread
    cost = after["rules"]["cost"]
    assert cost["users"] == 20
    assert cost["difference"] == pytest.approx(cost["with"] - cost["without"])
    assert cost["low"] <= cost["difference"] <= cost["high"]


def items(lists: list[list[Any]]) -> list[list[str]]:
    return [[row.item for row in rows] for rows in lists]


def test_items_are_excluded_for_each_history(checkpoint: Path) -> None:
    recommender = Recommender.load(checkpoint)
    histories = [["a"], [], ["f"]]
    found = recommender.recommend(histories, 2, exclude_each=[["e"], ["a"], []], exclude=["d"])
    assert items(found) == [["b", "c"], ["b", "c"], ["e", "a"]]
    named = recommender.recommend({"x": ["a"], "y": ["a"]}, 1, exclude_each={"y": ["e"]})
    assert {user: rows[0].item for user, rows in named.items()} == {"x": "e", "y": "d"}


def test_quotas_and_diversity_in_python(checkpoint: Path) -> None:
    recommender = Recommender.load(checkpoint)
    genres = {"e": "x", "d": ["x", "y"], "a": {"y"}, "unknown": "x"}
    found = recommender.recommend([["f"]], 3, rules=Rules(quotas={1: genres}, candidates=3))
    assert items(found) == [["e", "a", "b"]]
    assert recommender.recommend([["f"]], 3, rules=Rules(diversity=0.9))[0][0].item == "e"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"exclude_each": [["a"]]}, "exclude_each has 1 lists for 2 histories"),
        ({"exclude_each": ["a", "b"]}, "exclude_each='a' must be a list of item ids"),
        ({"exclude_each": {"x": ["a"]}}, "must be a list of lists"),
        ({"rules": Rules(diversity=1.0)}, "diversity=1.0 must be a number, at least 0 and below 1"),
        ({"rules": Rules(quotas={0: {"a": 1}})}, "quotas=0 must be a whole number, 1 or more"),
        ({"rules": Rules(quotas={1: ["a"]})}, "must map item ids to a value"),  # type: ignore[dict-item]
    ],
)
def test_wrong_rules_are_refused(checkpoint: Path, how: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Recommender.load(checkpoint).recommend([["a"], ["b"]], **how)
