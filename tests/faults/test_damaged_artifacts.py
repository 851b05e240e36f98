"""Damaged, cut and strangely named artifacts through `kedro run`: one error with the next step."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kedro_results import Kedro, newest, read_newest, refuse, succeed

TRAIN = ("--pipelines", "train")
PREDICT = ("--pipelines", "predict")
MEDIUM = ("--nodes", "recommend.tune.medium.analyse_medium")
FUTURE = "2999-01-01T00.00.00.000Z"
Damage = Callable[[Path], object]


@pytest.fixture
def data(copied_data: Path, tmp_path: Path) -> Iterator[Path]:
    """A finished chain, which is put back as it was."""
    shutil.copytree(copied_data, tmp_path / "before", symlinks=True)
    yield copied_data
    shutil.rmtree(copied_data)
    shutil.move(tmp_path / "before", copied_data)


def text(content: str | bytes) -> Damage:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(raw)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap_ids(path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    ids = table["item_id"].to_pylist()
    ids[:2] = ids[1::-1]
    pq.write_table(table.set_column(table.column_names.index("item_id"), "item_id", [ids]), path)


QUICK = [
    ("interactions/interactions.parquet", Path.unlink, ("--pipelines", "split"), "ingest"),
    ("best_config.yml", text(""), TRAIN, "recommend.tune"),
    ("narrowed_space.yml", text("just text\n"), MEDIUM, "tune.quick.narrow"),
]
"""The messages of all are tested where they are made; these go through `kedro run` every time."""
CASES = [
    ("interactions/interactions.parquet", halve, ("--pipelines", "split"), "ingest"),
    ("interactions/items.parquet", swap_ids, ("--pipelines", "split"), "ingest"),
    ("split/items.parquet", swap_ids, PREDICT, "split` again"),
    ("split/items.npy", text(b"\x93NUMPY"), PREDICT, "split` again"),
    ("checkpoint/assets/items.parquet", swap_ids, PREDICT, "train again"),
    ("best_config.yml", halve, TRAIN, "recommend.tune"),
    ("best_config.yml", text("- a\n- b\n"), TRAIN, "best_config=ignore"),
    ("best_config.yml", text("just text\n"), TRAIN, "best_config=ignore"),
    ("narrowed_space.yml", text(""), MEDIUM, "recommend.tune"),
    ("narrowed_space.yml", halve, MEDIUM, "recommend.tune"),
    ("narrowed_space.yml", text("queue: []\n"), MEDIUM, "tune.quick.narrow"),
    ("top_configs.json", halve, ("--pipelines", "ensemble"), "recommend.tune"),
    ("top_configs.json", text("[]"), ("--pipelines", "ensemble"), "tune again"),
]


@pytest.mark.parametrize(
    ("name", "damage", "run", "says"),
    [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES)],
)
def test_what_is_damaged_is_refused(
    shared_kedro: Kedro, data: Path, name: str, damage: Damage, run: tuple[str, ...], says: str
) -> None:
    dataset, _, inner = name.partition("/")
    file = newest(data.parent, dataset) / inner if inner else newest(data.parent, dataset)
    damage(file)
    message = refuse(shared_kedro, *run)
    assert says in message
    assert dataset.partition(".")[0] in message


@pytest.mark.slow
def test_an_empty_newer_version_is_not_no_version(shared_kedro: Kedro, data: Path) -> None:
    folder = data / "06_models" / "recommend" / "best_config.yml" / FUTURE
    folder.mkdir()
    (folder / "best_config.yml").touch()
    message = refuse(shared_kedro, *TRAIN)
    assert f"{FUTURE}/best_config.yml is cut off or damaged (it is empty)" in message


def test_a_run_reads_what_it_made_though_the_future_has_another(
    shared_kedro: Kedro, data: Path
) -> None:
    for name in ("interactions", "checkpoint"):
        source = newest(data.parent, name)
        shutil.copytree(source, source.parents[1] / FUTURE / source.name)
    raw = data / "01_raw" / "recommend" / "interactions.csv"
    lines = raw.read_text().splitlines(keepends=True)
    raw.write_text("".join(line for line in lines if not line.startswith("1,")))
    ignored = "recommend.best_config=ignore,recommend.training.epochs=1"
    said = succeed(shared_kedro, "--pipelines", "ingest,split,train,predict", "--params", ignored)
    assert read_newest(data.parent, "split_report.json")["users"] == 39
    predicted = read_newest(data.parent, "predict_report.json")["checkpoint"]
    assert FUTURE not in predicted
    assert said.count(f"recommend/checkpoint has a version from the future, {FUTURE}") == 1
    assert "CONSISTENCY" not in said
    assert "did not match load version" not in said


@pytest.mark.slow
def test_folders_that_are_no_versions_are_ignored(shared_kedro: Kedro, data: Path) -> None:
    (data / "06_models" / "recommend" / "checkpoint" / "zzz" / "checkpoint").mkdir(parents=True)
    assert "'zzz' is not a version" in succeed(shared_kedro, *PREDICT)


def test_a_partial_run_without_its_inputs_names_the_pipeline(
    shared_kedro: Kedro, data: Path
) -> None:
    shutil.rmtree(data / "08_reporting" / "recommend" / "verify_report.json")
    run = (*TRAIN, "--from-nodes", "recommend.train.resolve_config")
    assert "run `kedro run --pipelines recommend.verify_env` first" in refuse(shared_kedro, *run)


def test_only_missing_outputs_are_made(shared_kedro: Kedro, data: Path) -> None:
    before = len(list((data / "02_intermediate/recommend/interactions").iterdir()))
    succeed(shared_kedro, "--pipelines", "ingest,split", "--only-missing-outputs")
    assert len(list((data / "02_intermediate/recommend/interactions").iterdir())) == before


@pytest.mark.slow
def test_a_finished_trial_without_a_score_is_explained(shared_kedro: Kedro, data: Path) -> None:
    with closing(sqlite3.connect(data / "06_models/recommend/studies.db")) as database:
        database.execute("UPDATE trial_values SET value = NULL")
        database.commit()
    message = refuse(shared_kedro, "--pipelines", "tune")
    assert "studies.db is damaged (a finished trial in it has no score)" in message


@pytest.mark.parametrize("cut", ["entry.json", "documents"])
def test_damage_among_reports_is_named_and_the_report_written(
    shared_kedro: Kedro, data: Path, cut: str
) -> None:
    if cut == "entry.json":
        (entry,) = data.glob("08_reporting/recommend/run_report.html/*/entry.json")
        halve(entry)
    else:
        entry = newest(data.parent, "metrics.json")
        entry.write_text("")
    said = succeed(shared_kedro, "--pipelines", "ingest")
    assert f"{entry} is " in said
    assert "could not be written" not in said
    versions = data / "08_reporting" / "recommend" / "run_report.html"
    listed = json.loads((max(versions.iterdir()) / "entry.json").read_text())["version"]
    assert listed in (data / "08_reporting" / "index.html").read_text()
