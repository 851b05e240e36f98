"""The sample pipeline through `kedro run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Kedro = Callable[..., "CompletedProcess[str]"]
FILES = {"interactions.csv", "genre.csv", "director.csv", "writer.csv", "title.csv"}


def test_sample_data_lies_apart_from_a_users_own(kedro: Kedro, project: Path) -> None:
    result = kedro("run", "--pipelines", "sample", "--env", "sample")

    assert result.returncode == 0, result.stderr
    raw = project / "data/sample/01_raw/recommend"
    assert {path.name for path in raw.iterdir()} == FILES
    assert not (project / "data/01_raw").exists()
    assert "kedro run --env sample" in result.stdout
    assert "WARNING" not in result.stdout + result.stderr


def test_files_of_a_user_are_never_replaced(kedro: Kedro, project: Path) -> None:
    mine = project / "data/01_raw/recommend/interactions.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("user,item,time\na,b,1\n", encoding="utf-8")

    result = kedro("run", "--pipelines", "sample")

    assert result.returncode == 1
    assert "sample.enabled=false" in result.stderr
    assert "kedro run --pipelines recommend.sample --env sample" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert mine.read_text(encoding="utf-8") == "user,item,time\na,b,1\n"


def test_parameters_of_the_sample_reach_their_node_checked(kedro: Kedro) -> None:
    result = kedro(
        "run", "--pipelines", "sample", "--env", "sample", "--params", "sample.num_user=50"
    )

    assert result.returncode == 1
    assert "num_user" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
