"""What `kedro run` says to names that do not exist and values that are missing, before any node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedro_results import refuse

NODE = "recommend.train.train"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--pipelines trian", "--pipelines trian: it does not exist; did you mean 'train'"),
        ("--pipeline split,train", "--pipelines split,train: "),
        ("--pipeline split --pipelines train", "write --pipelines split,train"),
        ("--tags nope", "--tags nope: .* choose one of .*train"),
        (f"--nodes {NODE}n", f"--nodes {NODE}n: it is not in this run; did you mean '{NODE}'"),
        (f"--from-nodes {NODE}n", f"--from-nodes .* did you mean '{NODE}'"),
        (f"--to-nodes {NODE}n", f"--to-nodes .* did you mean '{NODE}'"),
        (f"--pipelines split --nodes {NODE}", "it is in the pipelines .*recommend.train"),
        ("--from-inputs recommend.spilt", "did you mean 'recommend.split'"),
        ("--to-outputs recommend.chekpoint", "did you mean 'recommend.checkpoint'"),
        ("--namespaces recommend.trian", "did you mean 'recommend.train'"),
        ("--tags ingest --nodes recommend.split.split", "leaves no node to run"),
        ("--runner NoRunner", "--runner NoRunner: .*Runner"),
        ("--runner-params foo=1", "'foo'; SequentialRunner takes is_async"),
        ("--env prod", "no environment 'prod' .*local"),
        ("--env ../../..", "no environment '../../..'"),
        ("--load-versions recommend.checkpoint", "Expected the form of 'load_versions'"),
        ("--load-versions recommend.checkpoint:../..", "'../..' is not allowed"),
        ("--load-versions recommend.chekpoint:1", "did you mean 'recommend.checkpoint'"),
        ("--load-versions recommend.raw_interactions:1", "has no versions; leave it out"),
        ("--load-versions recommend.split:2027", "no such version; .* newest: 2026"),
        ("--load-versions recommend.checkpoint:2027", "it has no version yet"),
        ("--params recommend.seed=", "recommend.seed= has no value; write recommend.seed=null"),
        ("--params recommend=null", "recommend=None is not a group of parameters"),
        ("--params recommend.model.hidden_units=true", "true is neither a number nor text"),
        ("--params recommend.training.strategy=deepspeedd", "'auto', 'fsdp'"),
        (
            "--pipelines split,tune --params recommend.split.use_full_data=true",
            "use_full_data=True leaves nothing to compare trials by",
        ),
        ("--config options.yml", "options.yml: the options stand below `run:`"),
    ],
)
def test_each_is_one_line(
    shared_kedro: Callable[..., Any], shared_project: Path, arguments: str, said: str
) -> None:
    import re

    made = shared_project / "data/05_model_input/recommend/split/2026-01-01T00.00.00.000Z/split"
    made.mkdir(parents=True, exist_ok=True)
    (shared_project / "options.yml").write_text("pipelines: train")

    message = refuse(shared_kedro, *arguments.split())

    assert re.search(said, message), message
    assert not (shared_project / "data" / "02_intermediate").exists()


def test_a_group_misspelt_in_a_file_is_refused(kedro: Callable[..., Any], project: Path) -> None:
    (project / "conf/local/parameters.yml").write_text("recomend: {seed: 1}")

    message = refuse(kedro, "--pipelines", "split")

    assert "recomend is not a group" in message
    assert "'recommend'? (set in conf/local/parameters.yml)" in message


def test_a_catalog_entry_that_looks_misspelt_is_refused(
    kedro: Callable[..., Any], project: Path
) -> None:
    entry = "recommend.raw_interaction: {type: seqtune.datasets.RawFiles, filepath: x.csv}"
    (project / "conf/local/catalog.yml").write_text(entry)

    message = refuse(kedro, "--pipelines", "split")

    assert "conf/local/catalog.yml, line 1: no pipeline uses recommend.raw_interaction" in message
    assert "'recommend.raw_interactions'" in message
