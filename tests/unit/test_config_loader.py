"""Where each parameter was set, and what is said of files that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader

from seqtune.config_loader import OriginConfigLoader
from seqtune.core.errors import ConfigurationError
from seqtune.settings import CONFIG_LOADER_ARGS

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


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
        ("a: 1\nb: {c: [", "line 2: invalid YAML"),
        (b"a: 1\nb: \xc7\xd1 # \xe9", "line 2: not UTF-8 text"),
        ("- 1", "must contain `name: value` lines, not a list"),
        ("hello", "not a str"),
        ("a:\n  b: 1\n  b: 2", r"line 3: the key a\.b stands there twice"),
        ("1: a", "line 1: the key 1 is no text"),
        ("a: &a {b: *a}", "line 1: a value that contains itself"),
        ("[" * 100_000, "more than 64 levels"),
        (LAUGHS, "expand to more than 10000 values"),
    ],
)
@pytest.mark.parametrize("kind", ["parameters", "catalog", "globals", "credentials", "mlflow"])
def test_a_file_that_cannot_be_read_is_named(
    conf: Path, kind: str, text: str | bytes, says: str
) -> None:
    write(conf.parent, f"local/{kind}.yml", text)

    with pytest.raises(ConfigurationError, match=rf"^conf/local/{kind}\.yml.*{says}"):
        loader(conf)[kind]


def test_a_file_that_the_system_does_not_read_is_named(conf: Path) -> None:
    (conf / "local" / "catalog.yml").symlink_to("catalog.yml")

    with pytest.raises(ConfigurationError, match=r"catalog\.yml cannot be read \(Too many"):
        loader(conf)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(conf: Path) -> None:
    (conf / "local").chmod(0)

    try:
        with pytest.raises(ConfigurationError, match="local cannot be read"):
            loader(conf)
    finally:
        (conf / "local").chmod(0o755)


@pytest.mark.parametrize(
    ("name", "text", "key", "says"),
    [
        ("paramters.yml", "a: 1", "globals", r"paramters\.yml would not be read.*'parameters'"),
        ("globals.yaml", "data: x", "globals", r"globals\.yaml would not be read"),
        (
            "globals.yml",
            "dat: x",
            "globals",
            r"yml, line 1: no file .* uses dat; .*'data'",
        ),
        *(
            ("globals.yml", f"# here\ndata: {value}", "globals", r"line 2: data=.* is not a path")
            for value in ("[a]", "", "''", "3")
        ),
        ("parameters.yml", "a:\n  x: ${oc.env:HOME}", "parameters", r"line 2: a\.x has no value"),
        ("parameters.yml", "a: {x: '${globals:nope}'}", "parameters", r"line 1: a\.x .*'nope'"),
        ("parameters.yml", "a: {x: '${nope'}", "parameters", r"line 1: a\.x has no value"),
        ("credentials.yml", "stuyd: {url: x}", "credentials", "line 1: .* stuyd; .*'study'"),
        ("catalog.yml", "raw: x.csv", "catalog", "line 1: raw is no dataset"),
        ("catalog.yml", "raw: {filepath: x}", "catalog", "line 1: raw is no dataset"),
        (
            "catalog.yml",
            "raw: {type: seqtune.datasets.RawFile}",
            "catalog",
            "raw has no valid type .*'seqtune.datasets.RawFiles'",
        ),
        (
            "catalog.yml",
            "raw: {type: seqtune.datasets.RawFiles, filepth: x}",
            "catalog",
            "filepth: did you mean 'filepath'",
        ),
    ],
)
def test_what_would_have_no_effect_is_refused(
    conf: Path, name: str, text: str, key: str, says: str
) -> None:
    raw = "raw: {type: seqtune.datasets.RawFiles, filepath: '${globals:data}/x'}"
    write(conf.parent, "base/globals.yml", "data: data")
    write(conf.parent, "base/catalog.yml", raw)
    write(conf.parent, f"local/{name}", text)

    with pytest.raises(ConfigurationError, match=says):
        loader(conf)[key]


@pytest.mark.parametrize("env", ["othr", "../..", "base/deeper"])
def test_an_environment_is_a_folder_of_conf(conf: Path, env: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"no environment '{env}'.*(other|base, local)"):
        loader(conf, env)


def test_a_path_with_characters_of_patterns_is_read_like_any_other(conf: Path) -> None:
    raw = {"type": "seqtune.datasets.RawFiles", "filepath": "data/x"}
    write(conf.parent, "base/catalog.yml", f"raw: {raw}")
    odd = conf.parent / "a [x] ${HOME}"
    odd.mkdir()
    conf = conf.rename(odd / "conf")

    assert loader(conf)["parameters"]["a"] == {"x": 1, "y": {"z": 4}}
    path = Path(loader(conf)["catalog"]["raw"]["filepath"])
    assert path.parent.parent.samefile(odd)
    assert not set("[]{}$") & set(str(path))


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
