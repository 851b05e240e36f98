"""The command line of a run, and the parameters that differ from conf/base."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from seqtune.core.parameters import RUNTIME
from seqtune.core.resolve import flatten

LISTS = ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs", "namespaces")
OPTIONS = {"node_names": "--nodes"}


def command_line(params: Mapping[str, Any]) -> str:
    """Return the `kedro run` command that repeats a run."""
    return shlex.join(["kedro", "run", *_options(params)])


def _options(params: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in params.get("pipeline_names") or () if name != "__default__"]
    if names:
        yield f"--pipelines={','.join(names)}"
    if params.get("env") not in (None, "local"):
        yield f"--env={params['env']}"
    for key in LISTS:
        if params.get(key):
            yield f"{OPTIONS.get(key, '--' + key.replace('_', '-'))}={','.join(params[key])}"
    if params.get("load_versions"):
        yield f"--load-versions={pins(params['load_versions'])}"
    if params.get("only_missing_outputs"):
        yield "--only-missing-outputs"
    if (runner := _runner(params)) not in ("", "SequentialRunner"):
        yield f"--runner={runner}"
    if runtime := dict(flatten(params.get("runtime_params") or {})):
        yield f"--params={','.join(f'{key}={_typed(value)}' for key, value in runtime.items())}"


def _runner(params: Mapping[str, Any]) -> str:
    """Return the class of the runner, from `<kedro.runner...ThreadRunner object at 0x..>`."""
    text = str(params.get("runner") or "").removeprefix("<").partition(" object at ")[0]
    return text.rpartition(".")[2]


def pins(versions: Mapping[str, str]) -> str:
    return ",".join(f"{name}:{version}" for name, version in sorted(versions.items()))


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def changes(
    params: Mapping[str, Any], *, conf: Path, others: Collection[str] = ()
) -> list[dict[str, Any]]:
    """List the parameters that differ from conf/base, and where each was set; skip the tasks in
    `others`."""
    base = _read_parameters(conf, "base")
    layers = _read_parameters(conf, params.get("env") or "local")
    runtime = flatten(params.get("runtime_params") or {})
    layers.update((key, (value, RUNTIME)) for key, value in runtime)
    return [
        {"key": key, "value": value, "was": base.get(key, (None, ""))[0], "origin": origin}
        for key, (value, origin) in layers.items()
        if (key not in base or base[key][0] != value) and key.partition(".")[0] not in others
    ]


def _read_parameters(conf: Path, environment: str) -> dict[str, tuple[Any, str]]:
    """Read every parameter of an environment, with the file that sets it."""
    found: dict[str, tuple[Any, str]] = {}
    for file in sorted((conf / environment).rglob("parameters*.yml")):
        origin = str(Path(conf.name) / file.relative_to(conf))
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        found.update({key: (value, origin) for key, value in flatten(values)})
    return found
