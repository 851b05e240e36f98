"""Checks of all parameters before any node runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from seqtune.core.config import (
    ClusterConfig,
    CompareConfig,
    EnsembleConfig,
    ExportConfig,
    RefreshConfig,
    Section,
    ValidateConfig,
    VerifyConfig,
)
from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.parameters import RUNTIME, TaskParameters
from seqtune.core.resolve import Layer, flatten, is_general, resolve, unflatten
from seqtune.core.sample import SampleParameters
from seqtune.core.task import TaskSpec
from seqtune.pipeline_registry import TASKS

SECTIONS: Mapping[str, type[Section]] = {
    "cluster": ClusterConfig,
    "verify_env": VerifyConfig,
    "validate": ValidateConfig,
    "ensemble": EnsembleConfig,
    "refresh": RefreshConfig,
    "compare": CompareConfig,
    "export": ExportConfig,
    "sample": SampleParameters,
}
"""Groups of parameters that all tasks share, and the classes that check them."""


class ParameterHooks:
    """Replaces YAML in `params:...` by typed, checked objects with the origin of each value.

    Kedro's own typed parameters cannot do this: the class depends on the task while the node
    function does not, and they have no origins (decision 0043).
    """

    def __init__(self) -> None:
        self._origins: Callable[[], Mapping[str, str]] = dict

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        loader = context.config_loader
        self._origins = lambda: getattr(loader, "parameter_origins", {})

    @hook_impl(tryfirst=True)  # the other hooks read the parsed parameters
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        runtime = run_params.get("runtime_params") or {}
        given = GivenParameters(catalog["parameters"].load(), runtime, self._origins())
        faults = given.unknown_groups(_groups_of_nodes())
        wanted = {name for name in pipeline.inputs() if name.startswith("params:")}
        for name, parse in given.parsers().items():
            if (entry := f"params:{name}") not in wanted and name not in runtime:
                continue
            try:
                parsed = parse()
            except ConfigurationError as error:
                faults += error.faults
            else:
                catalog[entry].save(parsed)
                faults += _search_faults(parsed, pipeline)
        if faults:
            raise ConfigurationError(list(dict.fromkeys(faults)))


@dataclass(frozen=True)
class GivenParameters:
    """The parameters of the files and the command line."""

    values: Mapping[str, Any]
    """Merged, the command line included."""
    runtime: Mapping[str, Any]
    origins: Mapping[str, str]
    """The file of each dotted key."""

    def parsers(self) -> dict[str, Callable[[], Any]]:
        """Map the name of a parameter to the function that makes the object for nodes."""
        parsers: dict[str, Callable[[], Any]] = {
            name: partial(self.section, name, section) for name, section in SECTIONS.items()
        }
        for task in TASKS:
            parsers[task.name] = partial(self.task, task)
            parsers[f"{task.name}.tuning"] = partial(self.tuning, task)
        return parsers

    def section(self, name: str, section: type[Section]) -> Section:
        layers = self._layer(name), Layer(RUNTIME, _below(self.runtime, name))
        return resolve(section, *layers, root=name).config

    def task(self, task: TaskSpec) -> TaskParameters:
        return task.parse_parameters(
            values=_below(self.values, task.name),
            runtime=_below(self.runtime, task.name),
            origins=self._layer(task.name).origins or {},
        )

    def tuning(self, task: TaskSpec) -> Any:
        """Merge `tuning`, common to all tasks, with `<task>.tuning`."""
        from seqtune.tuning.parameters import parse_tuning, space_path, spaces_at

        name = f"{task.name}.tuning"
        parsed, own = self.task(task), self._layer(name)
        known = dict(flatten(parsed.resolve().config.model_dump()))
        path = space_path(own.values, preset=parsed.preset, root=name)
        kept = dict(flatten(own.values))
        for stage, space in spaces_at(path, own.values).items():
            if isinstance(space, Mapping):
                root = ".".join((name, *path, stage))
                searched, more = parsed.searchable(space, root=root)
                known |= more
                prefix = ".".join((*path, stage, ""))
                kept = {k: v for k, v in kept.items() if not k.startswith(prefix)}
                kept |= dict(flatten(searched, prefix))
        own = replace(own, values=unflatten(kept))
        return parse_tuning(
            task.name,
            engine=self._layer("tuning"),
            own=own,
            runtime=_below(self.runtime, "tuning"),
            own_runtime=_below(self.runtime, name),
            known=known,
            preset=parsed.preset,
        )

    def unknown_groups(self, used: Collection[str]) -> list[str]:
        """List the faults in the names and kinds of groups, of files and of the command line."""
        tasks = (task.name for task in TASKS)
        base = (key.split(".")[0] for key, file in self.origins.items() if is_general(file))
        known = {*SECTIONS, *tasks, *base, *used}
        faults = []
        for key, value in self.values.items():
            origins = (file for name, file in self.origins.items() if name.split(".")[0] == key)
            origin = RUNTIME if key in self.runtime else next(origins, "conf")
            if key not in known:
                hint = did_you_mean(key, known)
                faults.append(f"{key} is not a group of parameters; {hint} (set in {origin})")
            elif not isinstance(value, Mapping):  # the others would follow from it
                raise ConfigurationError(f"{_no_group(key, value)} (set in {origin})")
        return faults

    def _layer(self, key: str) -> Layer:
        values, prefix = _below(self.values, key), f"{key}."
        if not isinstance(values, Mapping):
            raise ConfigurationError(_no_group(key, values))
        origins = {
            k.removeprefix(prefix): v for k, v in self.origins.items() if k.startswith(prefix)
        }
        return Layer("conf", values, origins)


def _below(values: Mapping[str, Any], key: str) -> Any:
    """Return the values below a dotted key, or an empty mapping."""
    for part in key.split("."):
        values = (values.get(part) if isinstance(values, Mapping) else None) or {}
    return values


def _no_group(key: str, value: Any) -> str:
    return f"{key}={value!r} is not a group of parameters; write them below it as `name: value`"


def _groups_of_nodes() -> set[str]:
    """Return the groups that nodes read, those of pipelines that a user added included."""
    inputs = {name for pipeline in pipelines.values() for name in pipeline.inputs()}
    return {n.partition(":")[2].split(".")[0] for n in inputs if n.startswith("params:")}


def _search_faults(parsed: Any, pipeline: Pipeline) -> list[str]:
    """Refuse a search in a run that holds nothing out to search by."""
    if not isinstance(parsed, TaskParameters):
        return []
    searches = any(node.name.startswith(f"{parsed.task}.tune.") for node in pipeline.nodes)
    split = getattr(parsed.resolve().config, "split", None)
    if not searches or not getattr(split, "use_full_data", False):
        return []
    return [
        f"{parsed.task}.split.use_full_data=True leaves nothing to compare trials by; tune without "
        "it first, then split and train with it"
    ]
