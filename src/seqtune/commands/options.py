"""Checks of what was typed after `kedro run`, before Kedro or the catalog stumbles over it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import click
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline
from kedro.utils import load_obj

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.yaml_files import read_yaml

from .params import parse_params

DEFAULT = "__default__"
RUNNERS = ("SequentialRunner", "ThreadRunner", "ParallelRunner")
Known = Callable[[Pipeline], Collection[str]]


def _node_names(pipeline: Pipeline) -> set[str]:
    return {node.name for node in pipeline.nodes}


def _tags(pipeline: Pipeline) -> set[str]:
    return {tag for node in pipeline.nodes for tag in node.tags}


def _namespaces(pipeline: Pipeline) -> set[str]:
    parts = [(node.namespace or "").split(".") for node in pipeline.nodes]
    return {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}


FILTERS: Mapping[str, tuple[str, Known]] = {
    "tags": ("--tags", _tags),
    "node_names": ("--nodes", _node_names),
    "from_nodes": ("--from-nodes", _node_names),
    "to_nodes": ("--to-nodes", _node_names),
    "from_inputs": ("--from-inputs", Pipeline.datasets),
    "to_outputs": ("--to-outputs", Pipeline.datasets),
    "namespaces": ("--namespaces", _namespaces),
}
"""Options that choose among the nodes, and the names that each accepts."""


def check_pipelines(options: Mapping[str, Any]) -> list[str]:
    """Return the pipelines asked for; refuse names of none."""
    single, several = options.get("pipeline"), list(options.get("pipelines") or ())
    if single and several:
        raise ConfigurationError(
            f"--pipeline and --pipelines exclude one another; write --pipelines "
            f"{','.join([single, *several])}"
        )
    names = [single] if single else several
    pipelines.set_requested(names or None)  # as Kedro will, which otherwise registers them twice
    _refuse("--pipelines", names, pipelines.keys())
    return names


def check_options(options: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a runner, a filter or a dataset that does not exist."""
    _check_runner(options.get("runner") or RUNNERS[0], options.get("runner_params") or {})
    datasets = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    _refuse("--load-versions", options.get("load_versions") or (), datasets)
    chosen = sum((pipelines[name] for name in names or [DEFAULT]), Pipeline([]))
    given = {key: tuple(options.get(key) or ()) for key in FILTERS}
    for key, values in given.items():
        option, known = FILTERS[key]
        _refuse(option, values, known(chosen), elsewhere=known)
    keys = {"namespaces": "node_namespaces"}
    try:
        chosen.filter(**{keys.get(key, key): values for key, values in given.items() if values})
    except ValueError as error:
        filters = " ".join(f"{FILTERS[key][0]} {','.join(v)}" for key, v in given.items() if v)
        raise ConfigurationError(
            f"{filters} leaves no node to run; take one of them away"
        ) from error


def _refuse(
    option: str, names: Iterable[str], known: Collection[str], *, elsewhere: Known | None = None
) -> None:
    faults = []
    what = "it is not in this run" if elsewhere else "it does not exist"
    for name in names:
        if name not in known:
            others = [n for n, p in pipelines.items() if elsewhere and name in elsewhere(p)]
            hint = f"it is in the pipelines {', '.join(others)}" if others else ""
            hint = hint or did_you_mean(name, sorted(known))
            faults.append(f"{option} {name}: {what}; {hint}")
    if faults:
        raise ConfigurationError(faults)


def _check_runner(name: str, arguments: Mapping[str, Any]) -> None:
    try:
        runner = load_obj(name, "kedro.runner")
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"--runner {name}: there is no such runner; {did_you_mean(name, RUNNERS)}"
        ) from error
    try:
        signature(runner).bind(**arguments)
    except TypeError as error:
        allowed = ", ".join(signature(runner).parameters)
        raise ConfigurationError(f"--runner-params: {error}; {name} takes {allowed}") from error


def with_checks(option: click.Parameter) -> click.Parameter:
    """Return an option of Kedro's whose text is checked, or parsed, before Kedro parses it."""
    prepare = {"params": parse_params, "config": _check_file}.get(option.name or "")
    parse = option.callback
    if prepare and parse:

        def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
            if value and isinstance(value, str):
                value = prepare(value)
            return parse(context, parameter, value)

        option.callback = callback
    return option


def _check_file(path: str) -> str:
    if not isinstance(read_yaml(Path(path), path).values.get("run"), Mapping):
        raise ConfigurationError(f"{path}: the options stand below `run:` in this file (--config)")
    return path
