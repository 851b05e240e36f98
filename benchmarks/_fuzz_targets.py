"""What odd inputs are given to: each target tries one input and raises what is not refused well."""

from __future__ import annotations

import copy
import json
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from prepared import Prepared, example_of

import kedro_forks
import published_versions
from _fuzz_inputs import (
    COMMANDS,
    DAMAGES,
    EDITED_CELLS,
    PLACES,
    VALUES,
    Damage,
    calls,
    damage,
    parquets,
    tables,
)
from _harness import ROOT
from seqtune import Recommender
from seqtune.config_loader import OriginConfigLoader
from seqtune.core.errors import ConfigurationError, SeqtuneError
from seqtune.core.resolve import flatten
from seqtune.hooks.parameters import GivenParameters
from seqtune.pipeline_registry import TASKS
from seqtune.settings import CONFIG_LOADER_ARGS


class BadOutcome(Exception):
    """An input was neither accepted nor refused by one clear message; its text is the cause."""


@dataclass(frozen=True)
class Target:
    name: str
    inputs: st.SearchStrategy[Any]
    attempt: Callable[[Any], object]
    share: float
    """Of all inputs."""
    batch: int = 25
    """Inputs that one process tries, one after another."""


def all_targets(folder: Path, *, finished: Path | None) -> Iterator[Target]:
    """Yield the targets; those of whole runs on artefacts need a finished project."""
    yield Target("Python API", calls(), partial(_call, folder / "recommend"), 0.3, 100)
    yield from _parameter_targets()
    for task in TASKS:
        ready = Ready(task.name, folder / task.name)
        yield from ready.targets()
    project = finished or folder / "project"
    yield Target("conf files", CONF_FILES, partial(_run_with_conf, project), 0.03, 1)
    yield Target("command lines", COMMANDS, partial(_run, project), 0.02, 1)
    if finished:
        yield Target("artefacts, runs", RUNS, partial(_run_on_damaged, finished), 0.04, 1)


# ---- the Python API ------------------------------------------------------------------------------


MEANINGLESS = re.compile(
    r"\b((?:exclude|include_only)='|exclude_seen='no'|k=True|k=2\.5|batch_size=(?:True|2\.5|-1)|"
    r"weights=(?!'best'|'last'))"
)
"""Arguments that no call can mean."""


def _call(folder: Path, source: str) -> None:
    path = folder / "checkpoint"
    names: dict[str, Any] = {"np": np, "pd": pd, "Recommender": Recommender, "path": path}
    if "recommender." in source:
        names["recommender"] = Recommender.load(path)
    answer = eval(source, names)  # noqa: S307  # our own text
    is_consumed = any(word in source for word in ("for h in", "map(", "zip("))
    if is_consumed and "recommend(" in source and not answer:
        raise BadOutcome("answers of an iterator are lost")
    if wrong := MEANINGLESS.search(source):
        raise BadOutcome(f"accepted: {wrong[1]}")


# ---- parameters ----------------------------------------------------------------------------------


def _parameter_targets() -> Iterator[Target]:
    loader = OriginConfigLoader(
        str(ROOT / "conf"), env="base", **{**CONFIG_LOADER_ARGS, "default_run_env": "base"}
    )
    values = loader["parameters"]
    known = sorted(
        {key for key, _ in flatten(values)} | {key.rpartition(".")[0] for key, _ in flatten(values)}
    )
    keys = st.sampled_from([key for key in known if key])
    keys |= st.tuples(keys, st.sampled_from([".x", "s", ".0", "."])).map("".join)
    given = st.lists(st.tuples(keys, VALUES, st.booleans()), min_size=1, max_size=3)
    yield Target("parameters", given, partial(_parse, values, loader.parameter_origins), 0.25)


def _parse(
    values: Mapping[str, Any], origins: Mapping[str, str], given: list[tuple[str, Any, bool]]
) -> None:
    merged = copy.deepcopy(dict(values))
    runtime: dict[str, Any] = {}
    for key, value, is_runtime in given:
        _set(merged, key, value)
        if is_runtime:
            _set(runtime, key, value)
    parameters = GivenParameters(merged, runtime, origins)
    if faults := parameters.unknown_groups(values):
        raise ConfigurationError(faults)
    refused: SeqtuneError | None = None
    touched = {key.partition(".")[0] for key, _, _ in given}
    for name, parse in parameters.parsers().items():
        if touched.isdisjoint(name.split(".")):
            continue
        try:
            parsed = parse()
            if hasattr(parsed, "resolve"):
                parsed.resolve()
        except SeqtuneError as error:
            refused = error
    if refused:
        raise refused


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(tree.get(parent), dict):
            tree[parent] = {}
        tree = tree[parent]
    tree[last] = value


# ---- raw files and artefacts ---------------------------------------------------------------------

RAW_COLUMNS = {
    "recommend": ("user", "item", "time"),
    "classify": ("text", "food", "sport", "rude"),
    "summarize": ("fname", "dialogue", "summary"),
}
RAW_SHARE = {"recommend": 0.12, "classify": 0.05, "summarize": 0.05}
ARTEFACT_SHARE = {"recommend": 0.1, "classify": 0.03, "summarize": 0.01}


@dataclass(frozen=True)
class Ready:
    """A task with raw files, a split and a checkpoint in a folder."""

    task: str
    folder: Path

    @property
    def prepared(self) -> Prepared:
        (task,) = [task for task in TASKS if task.name == self.task]
        return Prepared(task, self.folder, example_of(self.task))

    def make(self) -> None:
        """Train once, in a process that ends afterwards: it starts threads."""
        prepared = self.prepared
        prepared.example.write(self.folder)
        shutil.copytree(prepared.checkpoint, self.folder / "checkpoint")

    def targets(self) -> Iterator[Target]:
        columns = RAW_COLUMNS[self.task]
        (raw,) = [file for file in self.folder.glob("first-raw/*.*") if file.is_file()]
        written = EDITED_CELLS | tables(columns) | parquets(columns) | DAMAGES
        inputs = st.tuples(
            st.sampled_from([raw.suffix, raw.suffix, ".csv", ".jsonl", ".parquet"]), written
        )
        yield Target(
            f"raw files, {self.task}", inputs, partial(self._ingest, raw), RAW_SHARE[self.task]
        )
        new = st.tuples(st.just("new"), written)
        files = sorted(
            str(file.relative_to(self.folder))
            for place in ("first-ingest", "first-split", "checkpoint")
            for file in (self.folder / place).rglob("*")
            if file.is_file()
        )
        damaged = st.tuples(st.sampled_from(files), DAMAGES | st.none() | st.just("folder"))
        yield Target(
            f"artefacts, {self.task}", damaged | new, self._predict, ARTEFACT_SHARE[self.task]
        )

    def _ingest(self, raw: Path, given: tuple[str, Any]) -> None:
        suffix, written = given
        with _folder() as folder:
            file = folder / f"{raw.stem}{suffix}"
            file.write_bytes(_content(written, raw))
            prepared = self.prepared
            config = prepared.parameters().resolve().config
            sources: dict[str, tuple[Path, ...]] = {
                role: (file,) if place == 0 else ()
                for place, role in enumerate(prepared.task.sources)
            }
            (folder / "ingest").mkdir()
            (folder / "split").mkdir()
            prepared.task.ingest(sources, config, out=folder / "ingest")
            prepared.task.split(folder / "ingest", config, out=folder / "split")
            prepared.task.open_data(folder / "split")

    def _predict(self, given: tuple[str, Any]) -> None:
        """Read all artefacts, one of which is damaged."""
        name, damages = given
        prepared = self.prepared
        parameters = prepared.parameters()
        with _folder() as folder:
            for place in ("first-ingest", "first-split", "checkpoint"):
                shutil.copytree(self.folder / place, folder / place)
            new = prepared.example.new_rows(folder)
            if name == "new":
                new.write_bytes(_content(damages, new))
            else:
                _damage_file(folder / name, damages)
            (folder / "out").mkdir()
            if name.startswith("first-ingest"):
                prepared.task.split(
                    folder / "first-ingest", parameters.resolve().config, out=folder / "out"
                )
            else:
                data = prepared.task.open_data(folder / "first-split")
                prepared.task.predict(
                    folder / "checkpoint",
                    data,
                    parameters.predict,
                    new_rows=(new,),
                    out=folder / "out",
                )


def _content(written: Any, raw: Path) -> bytes:
    return (
        damage(raw.read_bytes(), written)
        if isinstance(written, tuple | list) and not hasattr(written, "render")
        else written.render()
    )


def _damage_file(path: Path, damages: list[Damage] | str | None) -> None:
    if isinstance(damages, list):
        path.write_bytes(damage(path.read_bytes(), damages))
        return
    path.unlink()
    if damages:
        path.mkdir()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---- whole runs ----------------------------------------------------------------------------------

CONF_NAMES = [
    "parameters.yml",
    "catalog.yml",
    "globals.yml",
    "credentials.yml",
    "parameters_tuning.yml",
    "mlflow.yml",
    "parametres.yml",
    "catalog_recommend.yaml",
    "parameters.json",
    "globals.yaml",
]
CONF_TEXTS = st.sampled_from(
    [
        "recommend:\n  seed: 7\n  split: {test_items: 1}\n",
        "recommend:\n  training: {lr: 0.1}\nensemble:\n  top: 3\n",
        "recommend.split:\n  type: seqtune.datasets.Artifact\n  filepath: x\n",
        "tuning: {seed: 1}\n",
        "data: data/kills\n",
        "study: {url: x}\n",
    ]
)
CONF_FILES = st.tuples(st.sampled_from(CONF_NAMES), CONF_TEXTS, DAMAGES)
RUNS = st.tuples(
    st.sampled_from(["ensemble", "predict", "train", "tune"]), PLACES, DAMAGES | st.none()
)
NODES = {
    "train": [
        "--to-nodes",
        "recommend.train.resolve_config",
        "--from-nodes",
        "recommend.train.resolve_config",
    ],
    "tune": ["--nodes", "recommend.tune.medium.tune_medium"],
}


def _answer_of(kedro: Any, **asked: Any) -> dict[str, Any]:
    """Run Kedro in a fork of this process; return its exit code and what it said."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)  # all that it says
    with ours, ours.makefile("rb") as answers:
        ours.sendall(json.dumps(asked).encode() + b"\n")
        run = kedro_forks.start(kedro, theirs)
        while not run.is_over():
            time.sleep(0.02)
        found: dict[str, Any] = json.loads(answers.readline())
    return found


def _run(project: Path, options: list[str], *, timeout: float = 500) -> None:
    from kedro.framework.cli import main as kedro

    answer = _answer_of(
        kedro,
        cwd=str(project),
        arguments=["run", "--env", "kills", *options]
        if "--env" not in options
        else ["run", *options],
        environment={"SEQTUNE_TRACKING": "off", "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"},
        timeout=timeout,
    )
    code, said = answer["code"], answer["stderr"]
    if code is None:
        raise BadOutcome(f"no end after {timeout} s")
    if "Traceback" in said or "Traceback" in answer["stdout"]:
        raise BadOutcome("traceback: " + _last_line(said))
    message = said.rpartition("Error:")[2].strip()
    if code not in (0, 1, 2) or (code and (not message or "NoneType: None" in said)):
        raise BadOutcome(f"exit code {code} and no message: {said[-200:]!r}")
    if code:
        raise SeqtuneError(message)


def _last_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line and not line.startswith(" ")]
    found = lines[-1] if lines else ""
    return re.sub(r"'[^']*'|/\S+|\d+|0x\w+", "...", found)[:120]


def _run_with_conf(project: Path, given: tuple[str, str, list[Damage]]) -> None:
    name, text, damages = given
    with _copied(project) as copied:
        (copied / "conf/kills" / name).write_bytes(damage(text.encode(), damages))
        _run(copied, ["--pipelines", "split"])


def _run_on_damaged(project: Path, given: tuple[str, float, list[Damage] | None]) -> None:
    stage, place, damages = given
    with _copied(project) as copied:
        files = sorted(f for f in copied.glob("data/*/0[2-7]*/**/*") if f.is_file())
        damaged = files[min(int(place * len(files)), len(files) - 1)]
        _damage_file(damaged, damages)
        before = set(published_versions.damaged(copied / "data/kills"))
        try:
            _run(copied, ["--pipelines", stage, *NODES.get(stage, [])])
        except BadOutcome as error:
            raise BadOutcome(f"{error} ({damaged.name}, {stage})") from None
        finally:
            if new := set(published_versions.damaged(copied / "data/kills")) - before:
                raise BadOutcome(f"half written: {sorted(new)}")


@contextmanager
def _copied(project: Path) -> Iterator[Path]:
    with _folder() as folder:
        shutil.copytree(project, folder / "project")
        yield folder / "project"
