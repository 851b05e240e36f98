"""deploy/dagster_definitions.py, with Dagster itself; not in requirements.lock, whose protobuf is
newer than the one that it takes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from kedro_results import Kedro, newest, succeed

dagster = pytest.importorskip("dagster", reason="pip install dagster")


@pytest.fixture
def definitions(project: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    source = repository / "deploy/dagster_definitions.py"
    copy = project / "deploy" / source.name
    copy.parent.mkdir()
    copy.write_bytes(source.read_bytes())
    monkeypatch.setenv("KEDRO_ENV", "sample")
    monkeypatch.setenv("PYTHONPATH", str(repository / "src"), prepend=":")
    spec = importlib.util.spec_from_file_location(copy.stem, copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stages_are_materialised_in_their_order(
    kedro: Kedro, project: Path, definitions: Any
) -> None:
    succeed(kedro, "--env", "sample", "--pipelines", "sample")
    first = dagster.AssetSelection.assets(["recommend", "ingest"], ["recommend", "split"])
    assert dagster.materialize(definitions.assets, selection=first).success
    assert newest(project, "sample/05_model_input/recommend/split").is_dir()
    dagster.Definitions.validate_loadable(definitions.defs)
