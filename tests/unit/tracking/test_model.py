"""A checkpoint logged as a model, and asked as MLflow's server asks it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from seqtune import Recommender
from seqtune.tracking.silence_mlflow import quietly, set_up_quietly

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks" / "recommend"))
IDS = [10, 20, 30, 40, 50, 60]
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from split_folders import random_model, tiny_config, write_checkpoint, write_split

    folder = tmp_path_factory.mktemp("model")
    data = write_split(folder / "split", SEQUENCES, item_ids=IDS)
    config = tiny_config()
    path: Path = write_checkpoint(folder / "checkpoint", random_model(config, data), config, data)
    return path


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The application behind `mlflow models serve`, asked without a socket."""
    set_up_quietly()
    folder = tmp_path_factory.mktemp("mlflow")
    with quietly():
        import mlflow
        from fastapi.testclient import TestClient
        from mlflow.pyfunc.scoring_server import init

        from seqtune.tracking.model import log_model

        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.create_experiment("models", folder.as_uri())
        mlflow.set_experiment("models")
        with mlflow.start_run():
            uri = log_model(checkpoint)
        return TestClient(init(mlflow.pyfunc.load_model(uri)))


def ask(server: Any, **question: Any) -> tuple[int, Any]:
    with quietly():
        answer = server.post("/invocations", json=question)
    return answer.status_code, json.loads(answer.text)


def test_question_of_the_documentation_is_answered(server: Any, checkpoint: Path) -> None:
    rows = [{"items": [10, 20]}, {"items": []}]

    status, answer = ask(server, dataframe_records=rows, params={"k": 2})

    expected = Recommender.load(checkpoint).recommend([[10, 20], []], 2)
    assert status == 200, answer
    assert answer == {"predictions": [[line._asdict() for line in one] for one in expected]}


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({"dataframe_records": [{"thing": [10]}]}, "missing inputs ['items']"),
        ({"dataframe_records": [{"items": 10}]}, "Array(long)"),
        (
            {"dataframe_records": [{"items": [10]}], "params": {"k": 0}},
            "k=0 must be a whole number, 1 or more",
        ),
    ],
)
def test_wrong_question_is_refused_with_its_reason_and_no_traceback(
    server: Any, question: Any, why: str
) -> None:
    status, answer = ask(server, **question)

    assert status == 400
    assert why in answer["message"]
    assert "stack_trace" not in answer


def test_libraries_of_the_task_are_required_where_the_model_is_served(tmp_path: Path) -> None:
    from seqtune.tracking.model import requirements, trained_with

    versions = dict.fromkeys(("python", "optuna", "lightning", "torch", "transformers"), "1")
    (tmp_path / "checkpoint.json").write_text(json.dumps({"versions": versions}))

    names = trained_with(tmp_path)

    assert names == ["torch", "transformers"]
    listed = [line.partition("==")[0] for line in requirements(names)]
    assert listed.count("torch") == 1
    assert "transformers" in listed
    assert not {"optuna", "python"} & set(listed)
