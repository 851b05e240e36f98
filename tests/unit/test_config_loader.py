"""Where each parameter was set, and what is said of files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader

from seqtune.config_loader import OriginConfigLoader
from seqtune.core.errors import ConfigurationError
from seqtune.settings import CONFIG_LOADER_ARGS


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    write(tmp_path, "base/parameters_a.yml", "a: {x: 1, y: {z: 2}}")
    write(tmp_path, "base/deeper/parameters.yml", "b: 3")
    write(tmp_path, "local/parameters.yml", "a: {y: {z: 4}}")
    write(tmp_path, "other/parameters_b.yaml", "b: 1e-3")
    return tmp_path / "conf"


def write(folder: Path, name: str, text: str | bytes) -> None:
    file = folder / "conf" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def loader(conf: Path, env: str | None = None) -> OriginConfigLoader:
    return OriginConfigLoader(str(conf), env=env, **CONFIG_LOADER_ARGS)


def test_each_key_has_the_file_that_set_it(conf: Path) -> None:
    assert loader(conf).parameter_origins == {
        "a.x": "conf/base/parameters_a.yml",
        "a.y.z": "conf/local/parameters.yml",
        "b": "conf/base/deeper/parameters.yml",
    }


def test_an_environment_takes_the_place_of_local(conf: Path) -> None:
    origins = loader(conf, "other").parameter_origins

    assert (origins["a.y.z"], origins["b"]) == (
        "conf/base/parameters_a.yml",
        "conf/other/parameters_b.yaml",
    )


@pytest.mark.parametrize("env", [None, "base", "other"])
def test_values_are_those_of_kedro(conf: Path, env: str | None) -> None:
    plain = OmegaConfigLoader(str(conf), env=env, **CONFIG_LOADER_ARGS)

    assert loader(conf, env)["parameters"] == plain["parameters"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: {c: [", r"conf/local/parameters_c\.yml, line 2: invalid YAML"),
        (b"a: \xe9", r"conf/local/parameters_c\.yml: not UTF-8 text"),
        ("- 1", r"conf/local/parameters_c\.yml: .*groups .*not a list"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(conf: Path, text: str | bytes, says: str) -> None:
    write(conf.parent, "local/parameters_c.yml", text)

    with pytest.raises(ConfigurationError, match=says):
        loader(conf)["parameters"]


def test_a_key_in_two_files_of_an_environment_is_refused(conf: Path) -> None:
    write(conf.parent, "local/parameters_c.yml", "a: {y: {z: 5}}")

    with pytest.raises(ValueError, match=r"Duplicate keys found in .*a\.y\.z"):
        loader(conf)["parameters"]


def test_an_empty_file_sets_nothing(conf: Path) -> None:
    write(conf.parent, "local/parameters_c.yml", "# nothing")

    assert set(loader(conf).parameter_origins) == {"a.x", "a.y.z", "b"}


def test_without_a_file_the_environment_has_the_database_of_studies(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEQTUNE_STUDY_URL", raising=False)
    assert loader(conf)["credentials"] == {"study": {"url": None}}

    monkeypatch.setenv("SEQTUNE_STUDY_URL", "postgresql://host/studies")
    assert loader(conf)["credentials"] == {"study": {"url": "postgresql://host/studies"}}

    write(conf.parent, "local/credentials.yml", "study: {url: sqlite:///x.db}")
    assert loader(conf)["credentials"]["study"] == {"url": "sqlite:///x.db"}


def test_missing_credentials_say_where_they_belong(conf: Path) -> None:
    write(conf.parent, "local/credentials.yml", "storage: {key: a}")

    with pytest.raises(
        ConfigurationError, match=r"'storag'.*conf/local/credentials\.yml.*'storage'"
    ):
        loader(conf)["credentials"]["storag"]
