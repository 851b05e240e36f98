"""Bad input through `kedro run`: one clear error, exit code not 0, nothing half written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from small_disks import fill, small_disk

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]

GOOD = "user,item,time\n" + "".join(
    f"{user},{10 * item + user % 3},{1_000_000 + 10 * item}\n"
    for user in range(1, 9)
    for item in range(1, 7)
)


@dataclass(frozen=True)
class BadInput:
    """A file, and what the error must say of it."""

    content: str | bytes
    says: tuple[str, ...]
    parameters: str = ""


def rows(*lines: str) -> str:
    return "\n".join(["user,item,time", *lines, ""])


MANY = [f"{user},{item},{100 + item}" for user in range(1, 4) for item in range(1, 6)]

BAD_FILES = {
    "empty": BadInput("", ("interactions.csv", "empty")),
    "header only": BadInput("user,item,time\n", ("interactions.csv", "no rows")),
    "misspelt column": BadInput(
        GOOD.replace("user,item", "usr,item", 1),
        ("interactions.csv", "'user'", "did you mean 'usr'"),
    ),
    "missing column": BadInput(
        "user,time\n1,2\n", ("interactions.csv", "'item'", "recommend.ingest")
    ),
    "wrong delimiter": BadInput(
        GOOD.replace(",", "|"), ("interactions.csv", "delimiter"), "recommend.ingest.delimiter=;"
    ),
    "null": BadInput(
        rows(*MANY, ",7,200", "2,,201"), ("interactions.csv", "user", "item", "17", "18")
    ),
    "unparsable time": BadInput(
        rows(*MANY, "1,7,yesterday"), ("interactions.csv", "time", "yesterday", "17")
    ),
    "negative time": BadInput(rows(*MANY, "1,7,-5"), ("interactions.csv", "time", "-5", "17")),
    "mixed ids": BadInput(rows(*MANY, "abc,7,200"), ("interactions.csv", "user", "abc", "17")),
    "cp949 as utf-8": BadInput(
        rows(*MANY, "1,기생충,200").encode("cp949"), ("interactions.csv", "utf-8", "cp949")
    ),
    "one user": BadInput(
        rows("1,1,1", "1,2,2", "1,3,3", "1,4,4"), ("interactions.csv", "one user")
    ),
    "all below the minimum": BadInput(
        rows("1,1,1", "2,1,1", "3,2,1"), ("min_interactions", "interactions.csv")
    ),
    "duplicates refused": BadInput(
        rows(*MANY, MANY[0]),
        ("interactions.csv", "duplicate", "17"),
        "recommend.ingest.on_duplicates=error",
    ),
    "ragged row": BadInput(rows(*MANY, "1,7,200,9,9"), ("interactions.csv", "17")),
}
QUICK = ("empty", "misspelt column", "null", "cp949 as utf-8")
"""The messages of all are tested where they are made; these go through `kedro run` every time."""


@pytest.fixture
def raw(project: Path) -> Path:
    """Where the project looks for the user's file; the folder is there, the file is not."""
    path = project / "data" / "01_raw" / "recommend" / "interactions.csv"
    path.parent.mkdir(parents=True)
    return path


def assert_refused(result: subprocess.CompletedProcess[str], *says: str) -> None:
    output = result.stdout + result.stderr
    assert result.returncode != 0, output
    assert "Traceback" not in output
    assert output.count("Error: ") == 1
    assert "Repeat the previous command" not in output  # Kedro's advice, before anything is mended
    message = " ".join(output.partition("Error: ")[2].split())
    for words in says:
        assert words in message


def assert_nothing_made(project: Path) -> None:
    data = project / "data"
    made = [path for path in data.rglob("*") if path.is_file() and "01_raw" not in path.parts]
    assert made == []


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in BAD_FILES],
)
def test_a_bad_file_is_refused(kedro: Kedro, project: Path, raw: Path, name: str) -> None:
    bad = BAD_FILES[name]
    content = bad.content if isinstance(bad.content, bytes) else bad.content.encode()
    raw.write_bytes(content)
    parameters = ["--params", bad.parameters] if bad.parameters else []
    result = kedro("run", "--pipelines", "ingest", *parameters)
    assert_refused(result, *bad.says)
    assert_nothing_made(project)


def test_a_missing_file_says_what_it_must_look_like(kedro: Kedro, raw: Path) -> None:
    result = kedro("run")
    assert_refused(result, str(raw), "user, item and time", "make run")


@pytest.mark.parametrize(
    "faults",
    [
        {
            "recommend.model.num_heads=3": ("num_heads=3", "hidden_units=", "choose one of"),
            "recommend.training.epochs=0": ("recommend.training.epochs=0", "greater", "--params"),
        },
        {
            "recommend.model.dropout_rate=1.5": ("dropout_rate=1.5", "less than 1"),
            "recommend.model.hiden_units=64": ("hiden_units", "did you mean 'hidden_units'"),
        },
        {
            "recomend.seed=1": ("recomend", "did you mean 'recommend'"),
            "recommend.preset=tiny": ("preset='tiny'", "small"),
        },
    ],
    ids=["values", "keys", "names"],
)
def test_bad_parameters_are_refused_together_before_anything_runs(
    kedro: Kedro, project: Path, raw: Path, faults: dict[str, tuple[str, ...]]
) -> None:
    raw.write_text(GOOD)
    said = (words for says in faults.values() for words in says)
    assert_refused(kedro("run", "--params", ",".join(faults)), *said)
    assert_nothing_made(project)


@pytest.mark.slow
def test_strange_ids_come_back_as_they_went_in(kedro: Kedro, project: Path, raw: Path) -> None:
    import csv

    items = ["a, b", 'say "hi"', "두 단어", "  spaces  ", "007", "'); DROP TABLE x; --", "z"]
    users = [f"김, 영희 {n}" for n in range(6)]
    with raw.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["user", "item", "time"])
        for number, user in enumerate(users):
            for time in range(5):
                writer.writerow([user, items[(number + time) % len(items)], time])
    result = kedro("run", "--pipelines", WITHOUT_TUNING, "--params", TINY)
    assert result.returncode == 0, result.stdout + result.stderr
    (submission,) = project.glob("data/07_model_output/recommend/submission.csv/*/submission.csv")
    with submission.open(newline="", encoding="utf-8") as file:
        recommended = list(csv.DictReader(file))
    assert {row["user"] for row in recommended} == set(users)
    assert {row["item"] for row in recommended} <= set(items)


WITHOUT_TUNING = "ingest,split,train,predict"
TINY = "recommend.preset=small,recommend.training.epochs=1,recommend.training.accelerator=cpu"


@pytest.fixture
def trained(kedro: Kedro, project: Path, raw: Path) -> Path:
    """A project with a checkpoint; gives the folder of its versions."""
    raw.write_text(GOOD)
    result = kedro("run", "--pipelines", WITHOUT_TUNING, "--params", TINY)
    assert result.returncode == 0, result.stdout + result.stderr
    return project / "data" / "06_models" / "recommend" / "checkpoint"


@pytest.mark.slow
def test_checkpoints_are_checked_before_they_are_used(
    kedro: Kedro, raw: Path, trained: Path
) -> None:
    (version,) = trained.iterdir()
    weights = version / "checkpoint" / "best.safetensors"
    intact = weights.read_bytes()

    weights.write_bytes(intact[:-100])
    assert_refused(kedro("run", "--pipelines", "predict"), "best.safetensors", "--load-versions")

    weights.write_bytes(intact)
    manifest = version / "checkpoint" / "checkpoint.json"
    text = manifest.read_text()
    manifest.write_text(text[:-20])
    assert_refused(kedro("run", "--pipelines", "predict"), "checkpoint.json", "damaged")

    manifest.write_text(text)
    raw.write_text(GOOD.replace(",11,", ",999,"))
    assert kedro("run", "--pipelines", "ingest").returncode == 0
    assert kedro("run", "--pipelines", "split").returncode == 0
    assert_refused(kedro("run", "--pipelines", "predict"), "another data set", "--load-versions")

    unknown = kedro("run", "--pipelines", "predict", "--load-versions", "recommend.checkpoint:1999")
    assert_refused(unknown, "1999")


@pytest.fixture
def data_disk(project: Path) -> Iterator[Path]:
    """The project's data folder on a file system of 256 KiB."""
    with small_disk(project / "data", size="256k") as folder:
        yield folder


def test_a_full_disk_publishes_nothing(kedro: Kedro, project: Path, data_disk: Path) -> None:
    raw = data_disk / "01_raw" / "recommend" / "interactions.csv"
    raw.parent.mkdir(parents=True)
    raw.write_text(GOOD)
    fill(data_disk / "01_raw" / "filler")
    assert_refused(kedro("run", "--pipelines", "ingest"), "no space is left", "conf/local/globals")
    assert_nothing_made(project)


def test_a_read_only_disk_is_named(kedro: Kedro, project: Path, data_disk: Path) -> None:
    raw = data_disk / "01_raw" / "recommend" / "interactions.csv"
    raw.parent.mkdir(parents=True)
    raw.write_text(GOOD)
    subprocess.run(["mount", "-o", "remount,ro", str(data_disk)], check=True)
    assert_refused(kedro("run", "--pipelines", "ingest"), "read-only")
    assert_nothing_made(project)
