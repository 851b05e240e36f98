"""kill -9 while texts are trained on or decoding is searched, then the same command again."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kedro_results import Kedro, newest, succeed

sys.path.insert(0, str(Path(__file__).parents[1]))

from text_projects import add_models, prepare, read_json

GENERATION = "summarize-medium.generation-"
TRIALS = {"learning_rate": 2, "generation": 4, "all": 1}


def kill(project: Path, *arguments: str, when: Callable[[], bool]) -> None:
    """`kedro run` in a process group of its own, ended from outside when something is so."""
    import seqtune

    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(seqtune.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    limit = time.monotonic() + 120
    while not when():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < limit, "nothing to disturb came about"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def trials(project: Path, study: str) -> list[tuple[str, dict[str, Any]]]:
    """State and searched values of all trials of a study, in the order of their numbers."""
    query = (
        "select t.number, t.state, p.param_name, p.param_value from trials t "
        "join studies s on s.study_id = t.study_id "
        "left join trial_params p on p.trial_id = t.trial_id "
        "where s.study_name like ? order by t.number, p.param_name"
    )
    file = project / "data/06_models/summarize/studies.db"
    if not file.exists():
        return []
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    with sqlite3.connect(file) as database:
        for number, state, name, value in database.execute(query, (f"{study}%",)):
            found.setdefault(number, (state, {}))[1][name] = value
    return list(found.values())


def finished(project: Path, study: str) -> list[dict[str, Any]]:
    return [params for state, params in trials(project, study) if state == "COMPLETE"]


@pytest.mark.slow
def test_a_search_of_decoding_goes_on_to_the_same_end(
    project: Path, kedro: Kedro, kedro_with: Callable[..., Kedro], tmp_path: Path
) -> None:
    prepare(project, "summarize")
    add_models(project, "summarize")
    succeed(kedro, "--pipelines", "summarize.ingest,summarize.split")
    whole = Path(shutil.copytree(project, tmp_path / "whole"))

    def in_the_middle() -> bool:
        states = [state for state, _ in trials(project, GENERATION)]
        return "COMPLETE" in states and "RUNNING" in states

    kill(project, "--pipelines", "summarize.tune", when=in_the_middle)
    before = finished(project, GENERATION)
    said = succeed(kedro, "--pipelines", "summarize.tune")
    assert "died with their process" in said or "run again" in said
    for group, total in TRIALS.items():
        assert len(finished(project, f"summarize-medium.{group}-")) == total, group
    assert finished(project, GENERATION)[: len(before)] == before

    succeed(kedro_with(whole), "--pipelines", "summarize.tune")
    for group in TRIALS:
        study = f"summarize-medium.{group}-"
        ours, theirs = (sorted(map(str, finished(one, study))) for one in (project, whole))
        assert ours == theirs, group
    ours, theirs = (chosen(one) for one in (project, whole))
    assert ours == theirs


def chosen(project: Path) -> tuple[Any, ...]:
    text = newest(project, "06_models/summarize/best_config.yml").read_text(encoding="utf-8")
    best = yaml.safe_load(text)
    return best["values"], best["score"], best["fingerprint"]


@pytest.mark.slow
def test_a_training_goes_on_to_the_same_weights(
    project: Path, kedro: Kedro, kedro_with: Callable[..., Kedro], tmp_path: Path
) -> None:
    prepare(project, "classify")
    add_models(project, "classify")
    succeed(kedro, "--pipelines", "classify.ingest,classify.split")
    whole = Path(shutil.copytree(project, tmp_path / "whole"))
    long = "classify.training.epochs=12,classify.training.early_stopping.patience=0"
    asked = ("--pipelines", "classify.train", "--params", long)

    states = project / "data/00_scratch"
    kill(project, *asked, when=lambda: bool(list(states.glob("train-*/state-*.ckpt"))))
    assert not (project / "data/06_models/classify/checkpoint").exists()
    assert "resuming at epoch" in succeed(kedro, *asked)
    succeed(kedro_with(whole), *asked)

    ours, theirs = (
        read_json(newest(one, "06_models/classify/checkpoint") / "checkpoint.json")
        for one in (project, whole)
    )
    for name in ("best", "last", "fingerprint", "stopped"):
        assert ours[name] == theirs[name], name
