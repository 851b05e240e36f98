"""What may not stand in the repository, and what its lock must hold."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(work|root|home|Users|opt)" + r"/\w",
    "an address of a package index": r"(pypi"
    + r"\.org|python"
    + r"hosted|download\.py"
    + r"torch)",
    "an option that names an index": r"--(extra-)?index" + r"-url|--find" + r"-links",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE" + r" KEY-----",
    "an access key": r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_\w{30,}|hf_[A-Za-z]{30,}|sk-\w{30,})\b",
    # hunter2 is what tests plant, to look for it afterwards
    "a password in an address": r"\w+://[^\s/:@{}$<]*:(?!hunter2@)[^\s/@{}$<]+" + r"@",
}
LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.]+)$")


@pytest.fixture(scope="module")
def texts(repository: Path) -> dict[str, str]:
    """Text of every file that is tracked, or would be by `git add --all`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [repository / name for name in listed.stdout.decode().split("\0") if name]
    return {
        str(file.relative_to(repository)): file.read_text(encoding="utf-8", errors="replace")
        for file in files
        if file.is_file()
    }


@pytest.fixture(scope="module")
def locked(repository: Path) -> dict[str, str]:
    lines = (repository / "requirements.lock").read_text(encoding="utf-8").splitlines()
    matches = [LOCKED.match(line) for line in lines if not line.startswith("#")]
    assert all(matches), "a line of requirements.lock is not name==version"
    return {canonicalize_name(match["name"]): match["version"] for match in matches if match}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(texts: dict[str, str], what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = {name: match.group() for name, text in texts.items() if (match := pattern.search(text))}

    assert found == {}


def test_patterns_find_what_they_are_for() -> None:
    examples = {
        "a path of one machine": "cd /wor" + "k/main",
        "an address of a package index": "https://py" + "pi.org/simple",
        "an option that names an index": "pip install --index" + "-url x",
        "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----",
        "an access key": "AKIA" + "ABCDEFGHIJKLMNOP",
        "a password in an address": "postgresql://me:secret" + "@host/db",
    }

    assert all(re.search(FORBIDDEN[what], text) for what, text in examples.items())
    assert examples.keys() == FORBIDDEN.keys()


def test_data_and_local_settings_are_not_tracked(texts: dict[str, str]) -> None:
    private = [name for name in texts if name.startswith(("data/", "conf/local/"))]

    assert [name for name in private if not name.endswith("/.gitkeep")] == []


def test_a_clone_has_the_layers_of_data(texts: dict[str, str]) -> None:
    layers = sorted(name.split("/")[1] for name in texts if name.startswith("data/"))

    assert layers == [
        "01_raw",
        "02_intermediate",
        "03_primary",
        "04_feature",
        "05_model_input",
        "06_models",
        "07_model_output",
        "08_reporting",
    ]


@pytest.mark.parametrize("environment", ["base", "local", "sample", "cluster", "a_new_one"])
def test_credentials_are_ignored_in_every_environment(repository: Path, environment: str) -> None:
    file = f"conf/{environment}/credentials.yml"
    ignored = subprocess.run(["git", "check-ignore", "-q", file], cwd=repository, check=False)

    assert ignored.returncode == 0


def test_the_package_is_a_command(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["scripts"] == {
        "seqtune": "seqtune.__main__:main",
        "seqtune-serve": "seqtune_serve.__main__:main",
    }


def test_lock_pins_the_torch_that_was_tested(locked: dict[str, str]) -> None:
    assert locked["torch"] == "2.13.0"


def test_lock_satisfies_every_dependency(repository: Path, locked: dict[str, str]) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]

    unmet = [
        text
        for text in needed
        if locked.get(canonicalize_name(Requirement(text).name), "")
        not in Requirement(text).specifier
    ]

    assert unmet == []


def test_make_lists_its_verbs(repository: Path) -> None:
    result = subprocess.run(
        ["make", "--no-print-directory"], cwd=repository, capture_output=True, text=True, check=True
    )
    verbs = {line.split()[1] for line in result.stdout.splitlines() if line.strip()}

    assert {
        "run",
        "test",
        "test-services",
        "test-all",
        "lint",
        "format",
        "bench",
        "viz",
        "clean",
        "help",
    } <= verbs


def test_ci_runs_lint_and_tests(repository: Path) -> None:
    script = repository / ".ci" / "run"

    assert script.stat().st_mode & 0o111
    assert "make --keep-going lint test test-services" in script.read_text(encoding="utf-8")
