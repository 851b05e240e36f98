"""The Python API on a checkpoint alone: real weights, real ids, nothing else on disk."""

import json
import logging
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from seqtune import Recommender
from seqtune.core.errors import ArtifactError, ConfigurationError, DataError
from seqtune.tasks.recommend.recommender import Recommended

from .split_folders import favouring, random_model, tiny_config, write_checkpoint, write_split

NAMES = ["a", "b", "c, the third", "라", "e", "f"]
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2]]  # training counts 3 2 2 0 0 0


def build(path, *, item_ids=NAMES, model=None):
    data = write_split(path / "split", SEQUENCES, item_ids=item_ids)
    config = tiny_config()
    model = model or favouring(5, 4, data=data, config=config)  # 5, 4, 1, 2, 3, 6
    checkpoint = write_checkpoint(
        path / "2026-01-01T00.00.00.000Z" / "checkpoint", model, config, data
    )
    shutil.rmtree(data.path)
    return checkpoint


@pytest.fixture
def recommender(tmp_path):
    return Recommender.load(build(tmp_path))


def items(rows):
    return [row.item for row in rows]


def test_lists_come_in_order_without_what_was_seen(recommender):
    lists = recommender.recommend([["a", "e"], ["f"]], k=3)
    assert [items(rows) for rows in lists] == [["라", "b", "c, the third"], ["e", "라", "a"]]
    assert lists[0][0] == Recommended(item="라", score=99.0, source="model")


def test_seen_items_come_back_where_wanted(recommender):
    assert items(recommender.recommend([["a", "e"]], k=2, exclude_seen=False)[0]) == ["e", "라"]


def test_excluded_items_are_never_recommended(recommender):
    (rows,) = recommender.recommend([["f"]], exclude=["e", "a"])
    assert items(rows) == ["라", "b", "c, the third"]


def test_only_included_items_are_recommended(recommender):
    lists = recommender.recommend([["f"], []], include_only=["b", "f", "e"], exclude=["e"])
    assert [items(rows) for rows in lists] == [["b"], ["b", "f"]]


def test_users_by_name(recommender):
    lists = recommender.recommend({"ann": ["e"], 7: ["라"]}, k=1)
    assert {user: items(rows) for user, rows in lists.items()} == {"ann": ["라"], 7: ["e"]}


def test_no_history_gets_popular_items_marked_as_such(recommender):
    lists = recommender.recommend([[], ["nobody knows this"], ["e"]], k=2)
    popular = [Recommended("a", 3.0, "popular"), Recommended("b", 2.0, "popular")]
    assert lists[:2] == [popular, popular]
    assert lists[2][0].source == "model"


def test_unknown_items_are_skipped_and_reported_once(recommender, caplog):
    with caplog.at_level(logging.WARNING):
        lists = recommender.recommend([["e", "x"], ["y", "x", "f"]], k=1)
    assert [items(rows) for rows in lists] == [["라"], ["e"]]
    (record,) = caplog.records
    assert "3 of 5 items in histories are unknown" in record.message
    assert "'x', 'y'" in record.message


def test_whole_numbers_given_as_text_are_hinted_at(tmp_path, caplog):
    recommender = Recommender.load(build(tmp_path, item_ids=[10, 20, 30, 40, 50, 60]))
    recommender.recommend([["10"]])
    assert "ids are int here, not str" in caplog.text
    (rows,) = recommender.recommend([[10]], k=1)
    assert rows == [Recommended(50, 100.0, "model")]
    assert type(rows[0].item) is int


def test_arrays_and_series_are_histories(tmp_path):
    recommender = Recommender.load(build(tmp_path, item_ids=[10, 20, 30, 40, 50, 60]))
    lists = recommender.recommend([np.array([50, 10]), pd.Series([50, 10]), (50, 10)], k=2)
    assert [items(rows) for rows in lists] == [[40, 20]] * 3


def test_fewer_items_than_wanted_give_a_shorter_list(recommender):
    assert items(recommender.recommend([["a", "b", "c, the third", "라"]], k=10)[0]) == ["e", "f"]
    assert len(recommender.recommend([[]], k=99)[0]) == 6


def test_order_and_batches_do_not_change_a_list(tmp_path):
    data = write_split(tmp_path / "s", SEQUENCES, item_ids=NAMES)
    model = random_model(tiny_config(), data)
    recommender = Recommender.load(build(tmp_path, model=model))
    histories = [["a"], ["b", "a", "e", "f", "a", "b", "e", "라"], [], ["e", "f"]]
    lists = recommender.recommend(histories, k=4)
    for batch_size in (1, 2):
        again = recommender.recommend(histories[::-1], k=4, batch_size=batch_size)[::-1]
        assert [items(rows) for rows in again] == [items(rows) for rows in lists]
        scores = [[row.score for row in rows] for rows in lists]
        for rows, expected in zip(again, scores, strict=True):
            assert [row.score for row in rows] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_newest_version_is_found(tmp_path):
    build(tmp_path / "x")
    newer = build(tmp_path / "y")
    version = "2026-02-01T00.00.00.000Z"
    shutil.move(newer.parent, tmp_path / "x" / version)
    shutil.copytree(tmp_path / "x" / version, tmp_path / "x" / "zzz")
    loaded = Recommender.load(str(tmp_path / "x")).loaded
    assert loaded.path == tmp_path / "x" / version / "checkpoint"


@pytest.mark.parametrize("wrong", [["a", "b"], [3], [{"a"}]])
def test_a_history_that_is_no_list_is_refused(recommender, wrong):
    with pytest.raises(DataError, match="a history must be a list of item ids, oldest first, not"):
        recommender.recommend(wrong)


def test_whatever_gives_histories_one_by_one_is_read_whole(recommender):
    histories = [["a", "e"], ["f"]]
    expected = recommender.recommend(histories, k=3)
    assert recommender.recommend((iter(history) for history in histories), k=3) == expected
    assert recommender.explain(iter(["a", "e"]), k=1) == recommender.explain(["a", "e"], k=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"k": 2.5},
        {"k": True},
        {"k": "3"},
        {"k": None},
        {"batch_size": 0},
        {"batch_size": -1},
        {"exclude_seen": "no"},
        {"exclude": "a"},
        {"include_only": "a"},
        {"exclude": 5},
    ],
)
def test_an_argument_of_another_kind_is_named(recommender, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigurationError, match=re.escape(f"{name}={value!r} must be")):
        recommender.recommend([["a"]], **wrong)


@pytest.mark.parametrize("call", ["recommend", "explain", "nearest"])
@pytest.mark.parametrize("wrong", [["a"], {"a": 1}])
def test_what_cannot_be_an_item_id_is_named(recommender, call, wrong):
    asked = {"recommend": [[wrong]], "explain": [wrong], "nearest": wrong}[call]
    with pytest.raises(DataError, match="is no item id, which is text or a whole number"):
        getattr(recommender, call)(asked)


@pytest.mark.parametrize("histories", [None, 5, "abc"])
def test_histories_that_are_none_are_refused(recommender, histories):
    with pytest.raises(DataError, match="histories must be a list of lists of item ids"):
        recommender.recommend(histories)


def test_only_known_weights_and_places_are_loaded(tmp_path):
    for wrong in ("Best", "first", None):
        with pytest.raises(ConfigurationError, match="must be 'best' or 'last'"):
            Recommender.load(build(tmp_path / str(wrong)), weights=wrong)
    for path in (None, 5):
        with pytest.raises(ConfigurationError, match=f"path={path} must name the folder"):
            Recommender.load(path)


def test_impossible_wishes_are_refused(recommender):
    with pytest.raises(ConfigurationError, match="leave none of the 6 items"):
        recommender.recommend([["a"]], include_only=["a"], exclude=["a"])


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    with pytest.raises(ConfigurationError, match=f"device='{device}' cannot be used"):
        Recommender.load(build(tmp_path), device=device)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="is not a complete checkpoint"):
        Recommender.load(tmp_path)


def test_damaged_assets_are_refused(tmp_path):
    checkpoint = build(tmp_path)
    np.save(checkpoint / "assets" / "train_counts.npy", np.zeros(3, np.int64))
    with pytest.raises(ArtifactError, match=r"train_counts\.npy is missing or damaged"):
        Recommender.load(checkpoint)
    (checkpoint / "assets" / "items.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(ArtifactError, match=r"items\.parquet is missing or damaged"):
        Recommender.load(checkpoint)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["a", "b", "a", "d", "e", "f"], "an id is missing, or stands for several items"),
        (["a", None, "c", "d", "e", "f"], "an id is missing, or stands for several items"),
        ([*"abcdefg"], "it names 7 items, not 6"),
    ],
)
def test_a_vocabulary_names_each_item_once(tmp_path, ids, says):
    checkpoint = build(tmp_path)
    table = {"item": range(1, len(ids) + 1), "item_id": ids, "count": [1] * len(ids)}
    pd.DataFrame(table).to_parquet(checkpoint / "assets" / "items.parquet")
    with pytest.raises(ArtifactError, match=rf"items\.parquet is missing or damaged \({says}\)"):
        Recommender.load(checkpoint)


def test_sizes_are_compared_before_memory_is_taken(tmp_path):
    checkpoint = build(tmp_path)
    file = checkpoint / "checkpoint.json"
    manifest = json.loads(file.read_text())
    manifest["config"]["model"] |= {"hidden_units": 4096, "num_layers": 48}  # 38 GB of weights
    file.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="do not fit the configuration beside them"):
        Recommender.load(checkpoint)


def test_importing_seqtune_does_not_import_torch():
    code = "import sys, seqtune; print('torch' in sys.modules, 'Recommender' in dir(seqtune))"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["False", "True"]
