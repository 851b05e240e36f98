"""The stages of `recommend` one by one through `kedro run`, as a person would give them."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from kedro_results import newest, read_newest
from seqtune_serve import open_model, read_export
from seqtune_serve.recommend import ListRequest

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = "recommend.preset=small,recommend.training.epochs=2,recommend.training.accelerator=cpu"
WITHOUT_TUNING = "ingest,split,train,predict"
USERS, ITEMS_EACH = 12, 7


@pytest.fixture
def raw(project: Path) -> Path:
    """The folder of a user's own files, with interactions in it."""
    folder = project / "data" / "01_raw" / "recommend"
    folder.mkdir(parents=True)
    rows = [
        f"{user},{(user + step) % 10 + 100},{1000 + step}"
        for user in range(1, USERS + 1)
        for step in range(ITEMS_EACH)
    ]
    (folder / "interactions.csv").write_text("\n".join(["user,item,time", *rows, ""]))
    return folder


def run(kedro: Kedro, pipeline: str, *, params: str = TINY, versions: str = "") -> str:
    load = ["--load-versions", versions] if versions else []
    result = kedro("run", "--pipelines", pipeline, "--params", params, *load)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_each_stage_goes_on_from_the_one_before(kedro: Kedro, project: Path, raw: Path) -> None:
    for stage, leads_to in (("ingest", "split"), ("split", "train"), ("train", "predict")):
        assert f"kedro run --pipelines {leads_to}" in run(kedro, stage)
    run(kedro, "predict", params=f"{TINY},recommend.predict.top_k=2")

    frame = pd.read_parquet(newest(project, "07_model_output/recommend/predictions.parquet"))
    assert list(frame.columns) == ["user", "item", "rank", "score", "source"]
    assert frame["user"].dtype == "int64"
    assert (frame.groupby("user").size() == 2).all()
    assert frame["user"].nunique() == USERS
    seen = {(user, (user + step) % 10 + 100) for user in range(1, 13) for step in range(7)}
    assert not seen & set(zip(frame["user"], frame["item"], strict=True))
    _compare_and_deny(kedro, project, raw)
    assert not list((project / "data" / "00_scratch").glob("[!.]*"))

    run(kedro, "export", params=f"{TINY},export.int8=false")
    model = open_model(read_export(project / "data" / "06_models" / "recommend" / "export"))
    histories = [[(user + step) % 10 + 100 for step in range(7)] for user in range(1, 13)]
    served = model.answer([ListRequest(history, k=2) for history in histories])
    predicted = frame.sort_values(["user", "rank"]).groupby("user")["item"].apply(list).tolist()
    assert [[line["item"] for line in answer["items"]] for answer in served] == predicted


def _compare_and_deny(kedro: Kedro, project: Path, raw: Path) -> None:
    """Set the model beside perfect lists of another system; then deny items."""
    (raw / "answers").mkdir()
    # everybody's item before the last, which is held out for validation
    rows = [f"{user},{(user + ITEMS_EACH - 2) % 10 + 100},1" for user in range(1, USERS + 1)]
    (raw / "answers" / "oracle.csv").write_text("\n".join(["user,item,rank", *rows, ""]))
    assert "oracle" in run(kedro, "compare", params=f"{TINY},compare.draws=200")
    report = read_newest(project, "08_reporting/recommend/compare_report.json")
    assert report["parts"]["valid"]["compared"]["ndcg@10"]["oracle"] == 1.0
    assert len(pd.read_csv(newest(project, "compare_comparisons_table.csv"))) == 10
    page = newest(project, "run_report.html").read_text(encoding="utf-8")
    assert '<section id="compare"' in page

    (raw / "deny.csv").write_text("user,item\n,100\n1,101\n1,109\n")
    run(kedro, "predict", params=f"{TINY},recommend.predict.diversity=0.5")
    frame = pd.read_parquet(newest(project, "07_model_output/recommend/predictions.parquet"))
    assert not (frame["item"] == 100).any()
    assert set(frame[frame["user"] == 1]["item"]) == {108}  # of 100, 101, 108 and 109
    assert "cost" in read_newest(project, "08_reporting/recommend/predict_report.json")["rules"]


@pytest.mark.slow
@pytest.mark.usefixtures("raw")
def test_the_configuration_is_written_down_with_its_origins(kedro: Kedro, project: Path) -> None:
    local = project / "conf" / "local" / "parameters_recommend.yml"
    local.write_text("recommend: {training: {lr: 0.002}}\n")
    run(kedro, WITHOUT_TUNING, params=f"{TINY},recommend.model.num_heads=4")
    values = read_newest(project, "06_models/recommend/config.json")["values"]
    assert values["model.num_heads"] == {"value": 4, "origin": "--params"}
    assert values["training.lr"] == {
        "value": 0.002,
        "origin": "conf/local/parameters_recommend.yml",
    }
    assert values["model.max_len"] == {"value": 30, "origin": "preset small"}
    assert values["model.dropout_rate"] == {"value": 0.2, "origin": "default"}
    assert values["training.precision"]["origin"].startswith("auto: ")


@pytest.mark.slow
def test_a_named_checkpoint_and_new_users(kedro: Kedro, project: Path, raw: Path) -> None:
    run(kedro, WITHOUT_TUNING)
    first = newest(project, "06_models/recommend/checkpoint").parent.name
    run(kedro, "train", params=f"{TINY},recommend.seed=7")
    (raw / "new_users.csv").write_text(
        "user,item,time\nanna,103,1\nanna,104,2\nbert,,3\nbert,999,4\n"
    )
    output = run(kedro, "predict", versions=f"recommend.checkpoint:{first}")

    report = read_newest(project, "08_reporting/recommend/predict_report.json")
    assert first in report["checkpoint"]
    assert "2 users" in output
    with newest(project, "07_model_output/recommend/submission.csv").open() as file:
        users = {row["user"] for row in csv.DictReader(file)}
    assert users == {"anna", "bert"}
    frame = pd.read_parquet(newest(project, "07_model_output/recommend/predictions.parquet"))
    assert set(frame[frame["user"] == "anna"]["source"]) == {"model"}
    assert set(frame[frame["user"] == "bert"]["source"]) == {"popular"}


SIDES = """
recommend:
  ingest: {sides: {brand: category, blurb: text}}
  model: {side_embeddings: [brand, blurb], use_genre_emb: true}
"""


def test_side_tables_of_any_name(kedro: Kedro, project: Path, raw: Path) -> None:
    """Files and YAML are all that a new one takes; one of them is elsewhere."""
    items = range(100, 110)
    for name in ("brand", "genre"):
        rows = [f"{item},{name}{item % 3}" for item in items]
        (raw / f"{name}.csv").write_text("\n".join([f"item,{name}", *rows, ""]))
    texts = [f"{item},A blurb about number {item % 4}" for item in items]
    (project / "data" / "texts.csv").write_text("\n".join(["item,blurb", *texts, ""]))
    local = project / "conf" / "local"
    (local / "parameters_recommend.yml").write_text(SIDES)
    entry = "type: seqtune.datasets.RawTables, filepath: 'data/01_raw/recommend/{name}.csv'"
    (local / "catalog.yml").write_text(
        f"recommend.raw_sides: {{{entry}, tables: {{blurb: {{filepath: data/texts.csv}}}}}}\n"
    )
    run(kedro, WITHOUT_TUNING)

    report = read_newest(project, "08_reporting/recommend/ingest_report.json")
    assert {name: side["values"] for name, side in report["sides"].items()} == {
        "genre": 3,
        "brand": 3,
        "blurb": 4,
    }
    split = json.loads(
        (newest(project, "05_model_input/recommend/split") / "split.json").read_text()
    )
    assert split["sides"] == {"genre": 3, "brand": 3, "blurb": 8}  # words, for a text
    weights = load_file(newest(project, "06_models/recommend/checkpoint") / "best.safetensors")
    assert all(f"model.sides.{name}.embedding.weight" in weights for name in split["sides"])
    predictions = newest(project, "07_model_output/recommend/predictions.parquet")
    assert pd.read_parquet(predictions)["user"].nunique() == USERS


@pytest.mark.slow
@pytest.mark.usefixtures("raw")
def test_training_on_everything_takes_the_best_number_of_epochs(
    kedro: Kedro, project: Path
) -> None:
    full = f"{TINY},recommend.split.use_full_data=true".replace("recommend.training.epochs=2,", "")
    run(kedro, "ingest")
    run(kedro, "split", params=full)
    refused = kedro("run", "--pipelines", "train", "--params", full)
    assert refused.returncode == 1
    assert "train with validation first" in " ".join(refused.stderr.split())

    run(kedro, "split")
    too_late = kedro("run", "--pipelines", "train", "--params", full)
    assert too_late.returncode == 1
    assert "recommend.split.use_full_data=True has no effect any more" in too_late.stderr
    run(kedro, "train")
    checkpoints = "06_models/recommend/checkpoint"
    best = json.loads((newest(project, checkpoints) / "checkpoint.json").read_text())["best"][
        "epoch"
    ]
    run(kedro, "split", params=full)
    run(kedro, "train", params=full)
    final = json.loads((newest(project, checkpoints) / "checkpoint.json").read_text())
    assert final["epochs_planned"] == final["last"]["epoch"] == best
    run(kedro, "predict", params=full)
