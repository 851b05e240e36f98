"""`kedro server start`: stages run over HTTP, one after another in one process."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from web_servers import Server

from kedro_results import read_newest

TWO_EPOCHS = {"recommend": {"preset": "small", "training": {"epochs": 2}}}


@pytest.fixture(scope="module")
def server(shared_project: Path, serve: Any) -> Server:
    command = ["kedro", "server", "start", "--env", "sample", "--port", "{port}"]
    started: Server = serve(command, cwd=shared_project, path="/health")
    return started


def succeed(server: Server, stage: str) -> None:
    answer = run(server, pipeline_names=[stage], params=TWO_EPOCHS)
    assert answer["status"] == "success", answer


def run(server: Server, **request: Any) -> dict[str, Any]:
    body = json.dumps(request).encode()
    asked = urllib.request.Request(  # noqa: S310  # loopback
        f"{server.url}/run", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=300) as answer:  # noqa: S310
        answered: dict[str, Any] = json.load(answer)
    return answered


def test_runs_of_one_server_read_what_the_last_one_made(
    server: Server, shared_project: Path
) -> None:
    succeed(server, "sample")
    raw = shared_project / "data/sample/01_raw/recommend/interactions.csv"
    users = []
    for share in (1.0, 0.5):
        rows = raw.read_text(encoding="utf-8").splitlines(keepends=True)
        raw.write_text("".join(rows[: int(share * len(rows))]), encoding="utf-8")
        for stage in ("ingest", "split", "train"):
            succeed(server, stage)
        metrics = read_newest(shared_project, "sample/08_reporting/recommend/metrics.json")
        users.append(metrics["num_users"])
    assert users[0] > 1.5 * users[1]


def test_what_a_user_can_mend_is_answered_in_one_message(server: Server) -> None:
    answer = run(server, pipeline_names=["train"], params={"recommend": {"training": {"lr": 7}}})
    assert answer["status"] == "failure"
    assert "recommend.training.lr" in answer["error"]["message"]
