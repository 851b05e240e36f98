"""A task is a folder and its YAML: a fourth one runs with nothing else touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from seqtune.pipeline_registry import STAGES

TASK = '''
"""Counts lines, to see what a task needs."""

from seqtune.core.config import RunConfig, Section
from seqtune.core.parameters import ParameterParser
from seqtune.core.task import TaskSpec


class ToyConfig(RunConfig):
    task: str = "toy"
    most: int = 3


parse = ParameterParser("toy", ToyConfig, Section)


def ingest(sources, config, *, out):
    (path,) = sources["lines"]
    lines = path.read_text().splitlines()[: config.most]
    (out / "lines.txt").write_text("\\n".join(lines))
    return {"headline": [f"{len(lines)} lines"]}


def split(ingested, config, *, out):
    (out / "train.txt").write_text((ingested / "lines.txt").read_text())
    return {"headline": ["nothing is held out"]}


def later(*_args, **_options):
    raise NotImplementedError


TASK = TaskSpec(
    "toy",
    ("lines",),
    "lines",
    parse,
    ingest,
    split,
    *[later] * 7,
)
'''
CATALOG = """
toy.raw_lines:
  type: seqtune.datasets.RawFiles
  filepath: ${globals:data}/01_raw/toy/lines.txt
  looks_like: a text file
  sample: make run

toy.lines:
  type: seqtune.datasets.Artifact
  filepath: ${globals:data}/02_intermediate/toy/lines
  versioned: true
"""
KEDRO = """
import sys
import seqtune.tasks
seqtune.tasks.__path__.append(sys.argv.pop(1))
from seqtune.pipeline_registry import register_pipelines
print(*(f"pipeline {name}" for name in register_pipelines()), sep="\\n")
from kedro.framework.cli import main
sys.argv[0] = "kedro"
main()
"""


def test_a_fourth_task_is_a_folder_and_its_yaml(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tasks" / "toy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(TASK)
    (project / "conf/base/catalog_toy.yml").write_text(CATALOG)
    (project / "conf/base/parameters_toy.yml").write_text("toy: {seed: 1, most: 2}")
    raw = project / "data/01_raw/toy"
    raw.mkdir(parents=True)
    (raw / "lines.txt").write_text("a\nb\nc")

    result = subprocess.run(
        [
            sys.executable,
            "-c",
            KEDRO,
            str(folder.parent),
            "run",
            "--pipelines",
            "toy.ingest,toy.split",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    names = {line.removeprefix("pipeline ") for line in result.stdout.splitlines()}
    assert {"toy", "toy.validate", "toy.dry_run", *(f"toy.{stage}" for stage in STAGES)} <= names
    assert "toy.sample" not in names
    (made,) = (project / "data/05_model_input/toy/split").glob("*/split/train.txt")
    assert made.read_text() == "a\nb"
    assert list((project / "data/08_reporting/toy/run_report.html").glob("*/run_report.html"))
    assert "2 lines" in result.stdout
    assert "could not be written" not in result.stdout
