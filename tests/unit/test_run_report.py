"""What a report is made of: what was asked, what can be trusted, what it cost, what it hides."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from seqtune.core.errors import ConfigurationError
from seqtune.hooks.report import ReportHooks, _is_of, _write_or_warn
from seqtune.run_report import ReportConfig, RunFacts, RunRecord
from seqtune.run_report.environment import git_state
from seqtune.run_report.page_facts import redact
from seqtune.run_report.run_command import changes, command_line
from seqtune.run_report.search_cost import examples
from seqtune.run_report.tables import MOST_ROWS, read_table
from seqtune.run_report.verdict import answer

ROOT = "/srv/somebody/project"


def record(**more: Any) -> RunRecord:
    values = {"version": "v2", "started": datetime(2026, 1, 1, tzinfo=UTC), "seconds": 1.0}
    return RunRecord(**{**values, "params": {}, **more})


# ---- parameters ------------------------------------------------------------------------------


def test_file_and_class_have_the_same_defaults(repository: Path) -> None:
    written = yaml.safe_load((repository / "conf/base/parameters_report.yml").read_text())

    assert written == {"report": ReportConfig().model_dump()}


def test_a_parameter_that_does_not_exist_is_refused_before_the_run() -> None:
    catalog = DataCatalog({"parameters": MemoryDataset({"report": {"enabeld": False}})})

    with pytest.raises(ConfigurationError, match=r"report\.enabeld is not a parameter"):
        ReportHooks().before_pipeline_run(pipeline=Pipeline([]), catalog=catalog)


# ---- what was asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({}, "kedro run"),
        ({"pipeline_names": ["__default__"], "env": "local"}, "kedro run"),
        ({"pipeline_names": ["train", "predict"]}, "kedro run --pipelines=train,predict"),
        ({"env": "sample", "tags": ["quick"]}, "kedro run --env=sample --tags=quick"),
        ({"node_names": ["recommend.train"]}, "kedro run --nodes=recommend.train"),
        (
            {"runner": "<kedro.runner.sequential_runner.SequentialRunner object at 0x7f63>"},
            "kedro run",
        ),
        (
            {"runner": "<kedro.runner.thread_runner.ThreadRunner object at 0x7f63>"},
            "kedro run --runner=ThreadRunner",
        ),
        (
            {"load_versions": {"recommend.split": "2026-11-21T20.18.52.891Z"}},
            "kedro run --load-versions=recommend.split:2026-11-21T20.18.52.891Z",
        ),
        (
            {"runtime_params": {"recommend": {"model": {"num_heads": 4}, "preset": "a b"}}},
            "kedro run '--params=recommend.model.num_heads=4,recommend.preset=a b'",
        ),
        ({"only_missing_outputs": True}, "kedro run --only-missing-outputs"),
    ],
)
def test_the_command_line_is_put_together_again(params: dict[str, Any], line: str) -> None:
    assert command_line(params) == line


def test_changed_parameters_are_named_with_the_place_that_set_them(tmp_path: Path) -> None:
    for environment, text in {
        "base": "a: {b: 1, c: 2, d: null}",
        "local": "{a: {b: 1, c: 3}, other: {c: 3}}",
    }.items():
        folder = tmp_path / "conf" / environment
        folder.mkdir(parents=True)
        (folder / "parameters_a.yml").write_text(text)
    params = {"runtime_params": {"a": {"d": 5}}}

    assert changes(params, conf=tmp_path / "conf", others={"other"}) == [
        {"key": "a.c", "value": 3, "was": 2, "origin": "conf/local/parameters_a.yml"},
        {"key": "a.d", "value": 5, "was": None, "origin": "--params"},
    ]


# ---- what it hides ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:hunter2@db.example:5432/studies?x=1",
        "mysql+pymysql://root:" + "hun:ter2@10.0.0.1/optuna",
        "cannot connect to (postgresql+psycopg://db.hunter2.example/studies): refused",
        "https://somebody:hunter2@models.example/bert",
        "PostgreSQL://hunter2@host/name",
    ],
)
def test_addresses_of_databases_and_passwords_are_not_told(text: str) -> None:
    hidden = redact({"a": [text]}, root=ROOT)["a"][0]

    assert "hunter2" not in hidden
    assert "(hidden)" in hidden


@pytest.mark.parametrize(
    "text", ["https://example.org/a", "val_ndcg@10", "a@b: c://d", "x://y z@w"]
)
def test_what_is_no_secret_is_told(text: str) -> None:
    assert redact(text, root=ROOT) == text


def test_values_of_secret_parameters_are_not_told() -> None:
    told = {"tokens": 12, "db_password": "hunter2", "api_key": "hunter2", "num_tokens": 3}

    assert redact(told, root=ROOT) == {**told, "db_password": "(hidden)", "api_key": "(hidden)"}


def test_paths_are_told_from_the_project_on() -> None:
    assert redact((f"{ROOT}/data/a.csv", 1), root=ROOT) == ["data/a.csv", 1]


# ---- what was found, and whether to trust it ---------------------------------------------------


def metrics(value: float, **more: Any) -> dict[str, Any]:
    row = {"model": value, "markov": 0.1, "popularity": 0.05}
    return {"parts": {"test": {"full_ranking": {"ndcg@10": row}}}, **more}


CONFIG = {"values": {"training.monitor": {"value": "val_ndcg@10"}}}


def levels(documents: dict[str, Any]) -> dict[str, str]:
    return {sign["key"]: sign["level"] for sign in answer(documents)["signs"]}


def test_the_metric_that_training_monitored_is_the_answer() -> None:
    found = answer({"config": CONFIG, "metrics": metrics(0.3), "ensemble_metrics": metrics(0.31)})

    assert found["metric"] == "ndcg@10"
    assert found["parts"] == {
        "test": {
            "values": {"model": 0.3, "ensemble": 0.31},
            "floors": {"markov": 0.1, "popularity": 0.05},
        }
    }


def test_a_report_that_is_not_there_gives_no_verdict() -> None:
    assert answer({})["signs"] == []
    assert answer({})["parts"] == {}


def reranked(gain: float) -> dict[str, Any]:
    """The best of the search fell from 0.35 to 0.32 over fresh seeds, and another one won."""
    rows = [
        {"trial": 5, "rank_before": 2, "single": 0.34, "mean": 0.33, "num": 3},
        {"trial": 7, "rank_before": 1, "single": 0.35, "mean": 0.32, "num": 3},
        {"trial": -1, "rank_before": 0, "single": 0.3, "mean": 0.31, "num": 3},
    ]
    return {"rows": rows, "inflation": 0.03, "gain": {"mean": gain, "error": 0.005, "share": 0.1}}


def test_what_the_search_brought_is_told_with_its_luck() -> None:
    signs = answer({"rerank_report": reranked(0.02)})["signs"]
    (sign,) = (sign for sign in signs if sign["key"] == "sign.search_ok")
    assert sign["values"] == {
        "gain": 0.02,
        "error": 0.005,
        "num": 3,
        "single": 0.35,
        "mean": 0.32,
        "luck": 0.03,
    }
    for missing in ({"gain": None}, {"rows": []}):
        found = answer({"rerank_report": {**reranked(0.02), **missing}})["signs"]
        assert not [sign for sign in found if sign["key"].startswith("sign.search")]


@pytest.mark.parametrize(
    ("documents", "sign", "level"),
    [
        ({"verify_report": {"counts": {"ok": 3, "warn": 0, "fail": 0}}}, "sign.verify_ok", "ok"),
        ({"verify_report": {"counts": {"ok": 3, "warn": 0, "fail": 1}}}, "sign.verify_bad", "bad"),
        ({"config": CONFIG, "metrics": metrics(0.3)}, "sign.floor_true", "ok"),
        ({"config": CONFIG, "metrics": metrics(0.09)}, "sign.floor_false", "bad"),
        (
            {"metrics": metrics(0.3, data_hash="a"), "split_report": {"content_hash": "b"}},
            "sign.other_data",
            "warn",
        ),
        (
            {"metrics": {"fingerprint": "a"}, "checkpoint": {"manifest": {"fingerprint": "b"}}},
            "sign.other_model",
            "warn",
        ),
        ({"quick_analysis": {"overfitting": [{"level": "bad"}]}}, "sign.overfit_bad", "bad"),
        ({"medium_analysis": {"overfitting": [{"level": "ok"}]}}, "sign.overfit_ok", "ok"),
        ({"rerank_report": {"is_beyond_noise": False}}, "sign.noise_warn", "warn"),
        ({"rerank_report": reranked(0.02)}, "sign.search_ok", "ok"),
        ({"rerank_report": reranked(0.004)}, "sign.search_warn", "warn"),
        ({"validate_report": {"stable": False, "max_std": 0.002}}, "sign.stable_bad", "bad"),
        (
            {"ensemble_metrics": {"beside_single": {"parts": {"test": {"gain": -0.01}}}}},
            "sign.ensemble_warn",
            "warn",
        ),
        ({"ensemble_metrics": {"test_openings": 3}}, "sign.opened_warn", "warn"),
    ],
)
def test_signs_of_trust(documents: dict[str, Any], sign: str, level: str) -> None:
    assert levels(documents)[sign] == level


def test_of_a_metric_that_should_be_small_the_smaller_is_better() -> None:
    row = {"model": 0.1, "mean": 0.4}
    config = {
        "values": {
            "training.monitor": {"value": "val_loss"},
            "training.monitor_mode": {"value": "min"},
        }
    }
    documents = {"config": config, "metrics": {"parts": {"test": {"all": {"loss": row}}}}}

    assert levels(documents) == {"sign.floor_true": "ok"}


def test_a_test_that_is_scored_once_is_that_of_the_ensemble() -> None:
    """Then the model stands on valid alone, and the floors of test are those of the ensemble."""
    row = {"model": 0.7, "tfidf": 0.6}
    config = {"values": {"training.monitor": {"value": "val_macro_f1"}}}
    whole = {"parts": {"test": {"tuned": {"macro_f1": {"model": 0.5, "tfidf": 0.6}}}}}
    documents = {
        "config": config,
        "metrics": {"parts": {"valid": {"tuned": {"macro_f1": row}}}},
        "ensemble_metrics": {**whole, "test_openings": 1},
    }

    found = answer(documents)

    assert found["parts"] == {
        "test": {"values": {"ensemble": 0.5}, "floors": {"tfidf": 0.6}},
        "valid": {"values": {"model": 0.7}, "floors": {"tfidf": 0.6}},
    }
    assert levels(documents) == {"sign.floor_false": "bad", "sign.opened_ok": "ok"}


def test_a_test_that_stays_closed_is_said() -> None:
    closed = {"test_closed_by": {"ensemble": "a", "when": "then"}, "test_openings": 1}

    assert levels({"ensemble_metrics": closed}) == {"sign.closed": "warn"}


# ---- where results stand -----------------------------------------------------------------------


V1, V2 = (f"2026-01-0{day}T00.00.00.000Z" for day in (1, 2))


@pytest.fixture
def catalog(tmp_path: Path) -> DataCatalog:
    """Two versions of one report."""
    entry = {
        "type": "seqtune.datasets.Document",
        "format": "json.JSONDataset",
        "filepath": f"{tmp_path}/{{name}}.json",
        "versioned": True,
    }
    made = DataCatalog.from_config({"task.{name}_report": {**entry}})
    for version in (V1, V2):
        folder = tmp_path / "a.json" / version
        folder.mkdir(parents=True)
        (folder / "a.json").write_text(f'{{"is": "{version}"}}')
    return made


def test_the_newest_version_is_read_and_is_not_of_this_run(catalog: DataCatalog) -> None:
    facts = RunFacts(catalog, record(version="v0"))

    assert facts.document("task.a_report") == {
        "value": {"is": V2},
        "version": V2,
        "here": False,
    }
    assert facts.document("task.b_report") is None
    assert facts.document("not in the catalog") is None


def test_a_damaged_report_is_named_and_left_out(
    catalog: DataCatalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.json" / V2 / "a.json").write_text("")

    assert RunFacts(catalog, record()).document("task.a_report") is None
    assert "the report leaves out task.a_report" in caplog.text
    assert f"{tmp_path}/a.json/{V2}/a.json is cut off or damaged" in caplog.text


def test_a_pinned_version_is_read(catalog: DataCatalog) -> None:
    run = record(version="v3", params={"load_versions": {"task.a_report": V1}})

    found = RunFacts(catalog, run).document("task.a_report")
    assert found == {"value": {"is": V1}, "version": V1, "here": False}


def test_what_this_run_saved_is_read_though_something_newer_stands_there(
    catalog: DataCatalog,
) -> None:
    run = record(version=V1, saved={"task.a_report"})

    found = RunFacts(catalog, run).document("task.a_report")
    assert found == {"value": {"is": V1}, "version": V1, "here": True}


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


def test_a_table_is_read_with_its_numbers_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a_table.csv"
    path.write_text('label,F1,positives,note\n"a, ""b""",0.5,12,\nc,,3,"1\n2"\n', "utf-8")

    assert read_table(path) == {
        "columns": ["label", "F1", "positives", "note"],
        "rows": [['a, "b"', 0.5, 12, ""], ["c", None, 3, "1\n2"]],
        "left_out": 0,
    }


def test_a_long_table_is_cut_and_an_empty_one_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a_table.csv"
    path.write_text("x\n" + "1\n" * (MOST_ROWS + 5), "utf-8")
    assert read_table(path)["left_out"] == 5

    path.write_text("", "utf-8")
    assert read_table(path) == {"columns": [], "rows": [], "left_out": 0}


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (
            {"user": [1, 1, 2], "item": ["a", "b", "c"], "rank": [1, 2, 1]},
            [{"who": "1", "list": ["a", "b"]}, {"who": "2", "list": ["c"]}],
        ),
        (
            {"id": ["x"], "text": ["hey"], "p(rude)": [0.25], "rude": [0], "p(b)": [0.9], "b": [1]},
            [{"who": "hey", "list": ["b 0.90"]}],
        ),
        (
            {"id": ["x"], "text": ["hey"], "p(rude)": [0.25], "rude": [False]},
            [{"who": "hey", "list": ["–"]}],
        ),
        (
            {"id": ["x"], "part": ["test"], "summary": ["They met."]},
            [{"who": "x", "list": ["They met."]}],
        ),
        ({"something": [1]}, []),
    ],
)
def test_first_predictions_are_shown_whatever_the_task(
    tmp_path: Path, columns: dict[str, list[Any]], shown: list[dict[str, Any]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "predictions.parquet"
    pq.write_table(pa.table(columns), path)
    catalog = DataCatalog.from_config(
        {"task.predictions": {"type": "pandas.ParquetDataset", "filepath": str(path)}}
    )

    assert examples(RunFacts(catalog, record()), "task") == shown


def test_generating_a_sample_is_nothing_to_report_on() -> None:
    assert _is_of("classify", "classify.train.fit")
    assert not _is_of("classify", "classify.sample.generate")
    assert not _is_of("classify", "recommend.train.fit")


# ---- a report is never worth a run -------------------------------------------------------------


def test_a_report_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("a file where a folder is wanted")
    entry = {
        "type": "text.TextDataset",
        "filepath": str(tmp_path / "blocked" / "run_report.html"),
        "versioned": True,
    }
    catalog = DataCatalog.from_config({"task.run_report": entry})

    with caplog.at_level(logging.WARNING):
        _write_or_warn(RunFacts(catalog, record()), "task")

    assert "the report of task could not be written" in caplog.text
    assert "the run itself is not affected" in caplog.text
