"""Projects of `classify` and `summarize`: rows of the sample, tiny models, a tiny search."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqtune.tasks import classify, summarize
from tiny_models import MAKERS

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]
RAW = "data/01_raw"
ROWS = {"classify": 200, "summarize": 100}
MODELS = {"classify": ("electra", "bert"), "summarize": ("kobart",)}
NEW_ROWS = 5

SEARCH = """
tuning:
  workers: 1
  pruner: {startup_trials: 1}
  rerank: {top: 2, seeds: 1}
ensemble: {top: 2}
"""
CLASSIFY = """
classify:
  split: {valid_share: 0.2, test_share: 0.2}
  model: {name: data/01_raw/classify/models/electra, max_length: 32, gradient_checkpointing: false}
  training:
    epochs: 2
    batch_size: 32
    accumulate_grad_batches: 1
    lr: 3.0e-3
    accelerator: cpu
    num_threads: 1
  evaluation: {train_metric_rows: 20}
  tuning:
    stages:
      test: {trials: 1, epochs: 1}
      quick: {trials: 3, epochs: 2}
      medium: {trials: 3, epochs: 3}
    spaces:
      quick: &texts
        model:
          name:
            choices: [data/01_raw/classify/models/electra, data/01_raw/classify/models/bert]
          max_length: {choices: [24, 32]}
        training:
          lr: {low: 1.0e-3, high: 1.0e-2}
          batch_size: {choices: [16, 32]}
          accumulate_grad_batches: null
      medium: *texts
"""
SUMMARIZE = """
summarize:
  model: {name: data/01_raw/summarize/models/kobart}
  preprocess: {max_input_length: 160, max_target_length: 32}
  training:
    epochs: 2
    batch_size: 16
    accumulate_grad_batches: 1
    lr: 3.0e-3
    accelerator: cpu
    num_threads: 1
  generation: {beams: 2, max_new_tokens: 16}
  evaluation: {max_rows: 8, max_new_tokens: 16, num_examples: 2}
  tuning:
    stages:
      test: {trials: 1, epochs: 1}
      medium: {epochs: 2}
    strategy:
      groups:
        - {name: learning_rate, trials: 2}
        - {name: generation, trials: 4}
        - {name: all, trials: 1}
    rerank: {top: 2, seeds: 1}
    forbidden: []
    spaces:
      quick: &dialogues
        preprocess:
          max_input_length: null
          noise_removal: {choices: [minimal, moderate]}
          person_tokens: {choices: [keep, simplify]}
        model:
          name: null
          quantisation: null
          lora: null
        training:
          lr: {low: 1.0e-3, high: 1.0e-2}
          batch_size: {choices: [8, 16]}
          accumulate_grad_batches: null
          optimizer: {choices: [adamw, adafactor]}
          precision: null
        generation:
          beams: {low: 1, high: 3}
          length_penalty: {when: {generation.beams: [2, 3]}}
          max_new_tokens: {low: 8, high: 16}
          min_new_tokens: {low: 0, high: 4}
          no_repeat_ngram_size: {choices: [0, 3]}
      medium: *dialogues
"""
SETTINGS = {"classify": CLASSIFY, "summarize": SUMMARIZE}


def prepare(project: Path, *tasks: str) -> None:
    """Give a fresh project raw data and a tiny search of these tasks."""
    for task in tasks:
        raw = project / RAW / task
        raw.mkdir(parents=True)
        WRITERS[task](raw)
    settings = "".join([SEARCH, *(SETTINGS[task] for task in tasks)])
    (project / "conf/local/parameters_tiny.yml").write_text(settings, encoding="utf-8")


def add_models(project: Path, *tasks: str) -> None:
    """Give it the models that its settings name."""
    for task in tasks:
        raw = project / RAW / task
        texts = WRITERS[task](raw)
        for name in MODELS[task]:
            MAKERS[name](raw / "models" / name, texts)


def write_texts(raw: Path) -> list[str]:
    """The user's file; gives its texts."""
    header, *lines = (
        (classify.TASK.sample_folder / "texts.tsv").read_text(encoding="utf-8").splitlines()
    )
    lines = list(dict.fromkeys(lines))[: ROWS["classify"]]
    (raw / "texts.tsv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return [row[0] for row in csv.reader(lines, delimiter="\t")]


def write_dialogues(raw: Path) -> list[str]:
    """The user's file; gives its texts."""
    lines = (
        (summarize.TASK.sample_folder / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()
    )
    rows = [json.loads(line) for line in lines[: ROWS["summarize"]]]
    write_jsonl(raw / "dialogues.jsonl", rows)
    return [text for row in rows for text in (row["dialogue"], row["summary"])]


WRITERS = {"classify": write_texts, "summarize": write_dialogues}


def write_new_rows(task: str, project: Path) -> None:
    """Rows without answers, to predict."""
    raw = project / RAW / task
    texts = [f"the parcel number {number} came late" for number in range(NEW_ROWS)]
    if task == "classify":
        (raw / "new_texts.tsv").write_text("\n".join(["text", *texts, ""]), encoding="utf-8")
        return
    new = [
        {"fname": f"new{number}", "dialogue": f"#Person1#: Hello, {text}.\n#Person2#: Oh."}
        for number, text in enumerate(texts)
    ]
    write_jsonl(raw / "new_dialogues.jsonl", new)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def finished(task: str, base: Path, fresh: Path, kedro_with: Callable[..., Kedro]) -> Path:
    """A project in which the whole chain of a task has run; made once for all workers of pytest.

    For reading only. `base` is pytest's folder, `fresh` a project to begin with. What the run said
    is in said.txt.
    """
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, ok = base / f"finished-{task}", base / f"finished-{task}.ok"
    with (base / f"finished-{task}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait for whoever came first
        if not ok.exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(fresh, folder)
            prepare(folder, task)
            add_models(folder, task)
            result = kedro_with(folder)("run", "--pipelines", task, timeout=600)
            assert result.returncode == 0, result.stdout + result.stderr
            (folder / "said.txt").write_text(result.stdout + result.stderr, encoding="utf-8")
            ok.touch()
    return folder


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
