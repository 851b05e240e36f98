"""Predictions as files: whose, in which order, with which ids, and what is reported."""

import csv
import gzip
import json
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import ArtifactError, DataError
from seqtune.tasks.recommend import predict as predict_module
from seqtune.tasks.recommend.params import PredictConfig
from seqtune.tasks.recommend.predict import predict

from .split_folders import favouring, random_model, tiny_config, write_checkpoint, write_split

NAMES = ['a, "b"', "b", "c ", "라면", "e", "f"]
USERS = ["x", "y,1", "한글", "no history"]
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2], []]  # training counts 3 2 2 0 0 0


@pytest.fixture
def data(tmp_path):
    return write_split(tmp_path / "split", SEQUENCES, user_ids=USERS, item_ids=NAMES)


@pytest.fixture
def checkpoint(tmp_path, data):
    config = tiny_config()
    # everybody's order is 5, 4, 1, 2, 3, 6
    return write_checkpoint(
        tmp_path / "checkpoint", favouring(5, 4, data=data, config=config), config, data
    )


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def lists(out):
    """Items by user, both in the order of the file; ranks must count from 1."""
    found = {}
    for row in pq.read_table(out / "predictions.parquet").to_pylist():
        found.setdefault(row["user"], []).append(row["item"])
        assert row["rank"] == len(found[row["user"]])
    return found


def test_everybody_gets_the_best_unseen_items(checkpoint, data, out):
    report = predict(checkpoint, data, PredictConfig(top_k=2), new_rows=(), out=out)
    assert lists(out) == {
        "x": ["f"],  # has seen all the others
        "y,1": ["e", "라면"],
        "한글": ["e", "라면"],
        "no history": ['a, "b"', "b"],
    }
    assert list(lists(out)) == USERS
    table = pq.read_table(out / "predictions.parquet")
    assert table.column_names == ["user", "item", "rank", "score", "source"]
    assert table["source"].to_pylist() == ["model"] * 5 + ["popular"] * 2
    assert table["score"].to_pylist() == [-5.0, 100.0, 99.0, 100.0, 99.0, 3.0, 2.0]
    assert {name: report[name] for name in ("users", "rows", "cold_users", "short_lists")} == {
        "users": 4,
        "rows": 7,
        "cold_users": 1,
        "short_lists": 1,
    }
    assert report["headline"] == [
        "7 recommendations for 4 users",
        "1 users without history got the most popular items",
        "1 lists are shorter than 2: no unseen items were left that the rules allow",
    ]
    assert (report["weights"], report["epoch"], report["fingerprint"]) == ("best", 3, "f" * 16)
    assert json.loads(json.dumps(report)) == report
    assert sorted(path.name for path in out.iterdir()) == ["predictions.parquet", "submission.csv"]


def test_submission_survives_commas_quotes_and_hangul(checkpoint, data, out):
    predict(checkpoint, data, PredictConfig(top_k=2), new_rows=(), out=out)
    with (out / "submission.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["user", "item"]
    table = pq.read_table(out / "predictions.parquet")
    expected = zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True)
    assert rows[1:] == [list(row) for row in expected]


def test_seen_items_are_kept_where_wanted(checkpoint, data, out):
    settings = PredictConfig(top_k=3, exclude_seen=False)
    predict(checkpoint, data, settings, new_rows=(), out=out)
    assert lists(out)["x"] == ["e", "라면", 'a, "b"']


def test_integer_ids_stay_integers(tmp_path, out):
    data = write_split(tmp_path / "split", SEQUENCES[:3], item_ids=[70, 60, 50, 40, 30, 20])
    config = tiny_config()
    checkpoint = write_checkpoint(tmp_path / "c", random_model(config, data), config, data)
    predict(checkpoint, data, PredictConfig(), new_rows=(), out=out)
    schema = pq.read_schema(out / "predictions.parquet")
    assert (schema.field("user").type, schema.field("item").type) == (pa.int64(), pa.int64())
    frame = pd.read_csv(out / "submission.csv")
    assert frame.dtypes.astype(str).tolist() == ["int64", "int64"]
    assert frame["user"].unique().tolist() == [100, 101, 102]


def test_chunks_and_batches_do_not_change_predictions(tmp_path, monkeypatch, out):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 41, size=size).tolist() for size in rng.integers(0, 12, size=23)]
    data = write_split(tmp_path / "split", sequences, item_ids=list(range(1000, 1040)))
    config = tiny_config()
    checkpoint = write_checkpoint(tmp_path / "c", random_model(config, data), config, data)
    predict(checkpoint, data, PredictConfig(), new_rows=(), out=out)
    whole = lists(out)
    assert list(whole) == [100 + user for user in range(23)]
    monkeypatch.setattr(predict_module, "CHUNK_BATCHES", 2)
    predict(checkpoint, data, PredictConfig(batch_size=3), new_rows=(), out=out)
    assert lists(out) == whole
    assert pq.ParquetFile(out / "predictions.parquet").num_row_groups == 4
    for user, items in whole.items():
        assert not {1000 + item - 1 for item in sequences[user - 100]} & set(items)


def test_a_checkpoint_of_other_items_is_refused(tmp_path, checkpoint, out):
    other = write_split(tmp_path / "other", SEQUENCES, item_ids=["a", "b", "c", "d", "e", "f"])
    with pytest.raises(ArtifactError, match="trained on another data set"):
        predict(checkpoint, other, PredictConfig(), new_rows=(), out=out)


def test_a_split_without_its_users_is_refused(checkpoint, data, out):
    (data.path / "users.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"users\.parquet is missing or damaged"):
        predict(checkpoint, data, PredictConfig(), new_rows=(), out=out)


NEW = 'user,item,time\nn1,e,5\nn2,"a, ""b""",1\nn1,b,4\nn1,nobody,6\nn3,\nn4,who,2\nn2,nobody,1\n'


def predict_for(text, checkpoint, data, out, *, name="new.csv", **settings):
    path = out.parent / name
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text, encoding="utf-8")
    return predict(checkpoint, data, PredictConfig(**settings), new_rows=(path,), out=out)


def test_new_users_get_lists_of_their_own(checkpoint, data, out, caplog):
    text = NEW.replace("n3,\n", "n3,,\n")
    report = predict_for(text, checkpoint, data, out, top_k=2)
    assert lists(out) == {
        "n1": ["라면", 'a, "b"'],
        "n2": ["e", "라면"],
        "n3": ['a, "b"', "b"],
        "n4": ['a, "b"', "b"],
    }
    assert report["unknown_items"] == {"rows": 3, "items": 2, "first": ["nobody", "who"]}
    assert (report["new_rows"], report["users"], report["cold_users"]) == (7, 4, 2)
    assert "2 items in 3 of 7 rows are unknown" in caplog.text
    assert "'nobody', 'who'" in caplog.text
    assert sorted(path.name for path in out.iterdir()) == ["predictions.parquet", "submission.csv"]


def score_of_history(checkpoint, data, out, text, **options):
    predict_for(text, checkpoint, data, out, top_k=6, exclude_seen=False, **options)
    table = pq.read_table(out / "predictions.parquet").to_pylist()
    return {row["item"]: row["score"] for row in table}


def test_new_rows_are_ordered_by_time_or_else_by_the_file(tmp_path, data, out):
    config = tiny_config()
    checkpoint = write_checkpoint(tmp_path / "r", random_model(config, data), config, data)
    texts = (
        "user\titem\ttime\nn\tf\t20\nn\te\t3\nn\tb\t100\n",
        "item,user\ne,n\nf,n\nb,n\n",
        "time,user,item\n2024-01-31 10:00,n,f\n2023-01-01,n,e\n2024-02-01,n,b\n",
        "user,item,time\nn,e,7\nn,f,7\nn,b,7\nn,b,7\n",  # ties; a repeated row counts once
    )
    scores = [score_of_history(checkpoint, data, out, text) for text in texts]
    assert scores[1:] == scores[:1] * 3
    reverse = score_of_history(checkpoint, data, out, "user,item\nn,b\nn,f\nn,e\n")
    assert reverse != scores[0]


def test_new_rows_as_gzip_and_parquet(checkpoint, data, out):
    text = "user,item\nn1,e\nn1,라면\n"
    predict_for(gzip.compress(text.encode()), checkpoint, data, out, name="new.csv.gz", top_k=1)
    assert lists(out) == {"n1": ['a, "b"']}
    path = out.parent / "new.parquet"
    pd.DataFrame({"user": [7, 7, 9], "item": ["e", "라면", None]}).to_parquet(path)
    predict(checkpoint, data, PredictConfig(top_k=1), new_rows=(path,), out=out)
    assert lists(out) == {7: ['a, "b"'], 9: ['a, "b"']}
    assert pq.read_table(out / "predictions.parquet")["source"].to_pylist() == ["model", "popular"]


def test_new_rows_of_integers(tmp_path, out):
    data = write_split(tmp_path / "split", SEQUENCES[:3], item_ids=[70, 60, 50, 40, 30, 20])
    config = tiny_config()
    model = favouring(5, 4, data=data, config=config)
    checkpoint = write_checkpoint(tmp_path / "c", model, config, data)
    predict_for("user,item\n1,30\n1,070\n2,\n1,99\n", checkpoint, data, out, top_k=2)
    assert lists(out) == {1: [40, 70], 2: [70, 60]}  # 070 is not 70
    path = out.parent / "new.parquet"
    pd.DataFrame({"user": [1, 1, 2], "item": [30.0, 40.0, None]}).to_parquet(path)  # as pandas does
    predict(checkpoint, data, PredictConfig(top_k=2), new_rows=(path,), out=out)
    assert lists(out) == {1: [70, 60], 2: [70, 60]}


def test_several_files_of_new_rows(checkpoint, data, out):
    paths = []
    for number, row in enumerate(("n,e", "m,b", "n,라면")):
        paths.append(out.parent / f"part-{number}.csv")
        paths[-1].write_text(f"user,item\n{row}\n", encoding="utf-8")
    predict(checkpoint, data, PredictConfig(top_k=1), new_rows=tuple(paths), out=out)
    assert lists(out) == {"n": ['a, "b"'], "m": ["e"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,thing\nn,e\n", "there is no column 'item'"),
        ("user,item,time\nn,e,1\n,b,2\n", r"1 of 2 rows have no user.*line 3"),
        ("user,item,time\nn,e,1\nn,b,2\nn,b,soon\n", r"1 of 3 rows have no time.*line 4"),
        ("user,item\n", "no rows"),
        ("", "is empty"),
    ],
)
def test_bad_new_rows_are_refused(checkpoint, data, out, text, message):
    with pytest.raises(DataError, match=message):
        predict_for(text, checkpoint, data, out)
    assert list(out.iterdir()) == []


def test_a_long_prediction_says_how_far_it_has_got(checkpoint, data, out, monkeypatch, caplog):
    monkeypatch.setattr(predict_module, "CHUNK_BATCHES", 1)
    monkeypatch.setattr(predict_module, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level("INFO"):
        predict(checkpoint, data, PredictConfig(batch_size=2), new_rows=(), out=out)
    assert [record.args[0] for record in caplog.records] == [2, 4]
    assert "2 users so far" in caplog.text


def test_a_large_catalogue_is_scored_for_fewer_users_at_once(checkpoint, data, out, monkeypatch):
    report = predict(checkpoint, data, PredictConfig(), new_rows=(), out=out)
    at_once = lists(out)
    monkeypatch.setattr("seqtune.tasks.recommend.batches.SCORES_AT_ONCE", 0)
    monkeypatch.setattr("seqtune.tasks.recommend.batches.FEWEST_USERS", 1)
    assert predict(checkpoint, data, PredictConfig(), new_rows=(), out=out) == report
    assert lists(out) == at_once


def backwards(opener, num_parts):
    """Each part made by another process, as it were, the last one first."""
    made = [pickle.loads(pickle.dumps(opener))()(n) for n in reversed(range(num_parts))]
    return reversed(made)


@pytest.mark.parametrize("text", ["", NEW.replace("n3,\n", "n3,,\n")])
def test_any_process_can_make_any_chunk(checkpoint, data, out, monkeypatch, text):
    monkeypatch.setattr(predict_module, "CHUNK_BATCHES", 1)
    settings = PredictConfig(top_k=2, batch_size=1)
    path = out.parent / "new.csv"
    path.write_text(text, encoding="utf-8")
    new = (path,) if text else ()
    whole = predict(checkpoint, data, settings, new_rows=new, out=out)
    before = pq.read_table(out / "predictions.parquet")
    assert predict(checkpoint, data, settings, new_rows=new, out=out, spread=backwards) == whole
    assert pq.read_table(out / "predictions.parquet").equals(before)
    assert whole["users"] == 4
