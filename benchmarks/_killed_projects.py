"""Projects whose runs are killed: how they are made, and what stands in them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from _projects import copy_settings

ENVIRONMENT = "kills"
DATA = f"data/{ENVIRONMENT}"
PARAMETERS = """
recommend:
  preset: small
  training:
    epochs: 6
    batch_size: 32
    num_threads: 1
    accelerator: cpu
    save_state_every_minutes: 0.005
  presets:
    small:
      model: {hidden_units: 16, num_heads: 2, num_layers: 1, max_len: 16, objective: causal}
  tuning:
    spaces:
      quick: &tiny
        model:
          hidden_units: {choices: [16, 32]}
          num_heads: {choices: [1, 2]}
          num_layers: {choices: [1, 2]}
        training:
          lr: {low: 1.0e-3, high: 1.0e-2}
          batch_size: {choices: [32, 64]}
      medium: *tiny
      portfolio: null
tuning:
  workers: 1
  stages:
    test: {trials: 1, epochs: 1}
    quick: {trials: 4, epochs: 2}
    medium: {trials: 3, epochs: 4}
  pruner: {startup_trials: 1}
  rerank: {top: 2, seeds: 1}
ensemble: {top: 3}
sample: {enabled: true}
"""
"""Budgets of seconds; a state to resume from is saved several times in an epoch."""


def new_project(folder: Path) -> None:
    """Make a project without data, with budgets of seconds."""
    copy_settings(folder)
    written = folder / "conf" / ENVIRONMENT
    written.mkdir()
    (written / "globals.yml").write_text(f"data: {DATA}\n")
    (written / "parameters.yml").write_text(PARAMETERS)


def cut_sample(folder: Path, *, num_users: int) -> None:
    """Keep the interactions of the first users of the sample."""
    raw = folder / DATA / "01_raw/recommend/interactions.csv"
    header, *rows = raw.read_text().splitlines()
    kept = [row for row in rows if int(row.split(",")[0].lstrip("u")) <= num_users]
    raw.write_text("\n".join([header, *kept, ""]))


def copy_project(source: Path, target: Path) -> None:
    """Copy a project; it shares nothing with the copy, because databases are written in place."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


class Trial(NamedTuple):
    study: str
    number: int
    state: str
    value: float | None


def trials_of(project: Path) -> list[Trial]:
    """Return all trials of all studies."""
    path = project / DATA / "06_models/recommend/studies.db"
    if not path.exists():
        return []
    query = (
        "select s.study_name, t.number, t.state, v.value from trials t "
        "join studies s on s.study_id = t.study_id "
        "left join trial_values v on v.trial_id = t.trial_id order by t.trial_id"
    )
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
        return [Trial(*row) for row in database.execute(query)] if "trials" in tables else []


def scratch_of(project: Path) -> list[str]:
    """Return what is in scratch, by path."""
    folder = project / DATA / "00_scratch"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
