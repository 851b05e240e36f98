"""What a run was asked for: its command line, and the parameters that somebody changed."""

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
    """`kedro run` as it has to be typed to ask for the same."""
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
    """The class of the runner: Kedro notes `<kedro.runner...ThreadRunner object at 0x..>`."""
    said = str(params.get("runner") or "").removeprefix("<").partition(" object at ")[0]
    return said.rpartition(".")[2]


def pins(versions: Mapping[str, str]) -> str:
    return ",".join(f"{name}:{version}" for name, version in sorted(versions.items()))


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def changes(
    params: Mapping[str, Any], *, conf: Path, others: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Parameters whose value is not that of conf/base, and the place that set each; without those
    of `others`, which do not concern the task."""
    base = _written(conf, "base")
    layers = list(_written(conf, params.get("env") or "local").items())
    layers += [
        (key, (value, RUNTIME)) for key, value in flatten(params.get("runtime_params") or {})
    ]
    return [
        {"key": key, "value": value, "was": base.get(key, (None, ""))[0], "origin": origin}
        for key, (value, origin) in dict(layers).items()
        if (key not in base or base[key][0] != value) and key.partition(".")[0] not in others
    ]


def _written(conf: Path, environment: str) -> dict[str, tuple[Any, str]]:
    """Every parameter of an environment's files, with the file it stands in."""
    found: dict[str, tuple[Any, str]] = {}
    for file in sorted((conf / environment).rglob("parameters*.yml")):
        origin = str(Path(conf.name) / file.relative_to(conf))
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        found.update({key: (value, origin) for key, value in flatten(values)})
    return found
