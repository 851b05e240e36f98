"""The user's parameters of one task, checked before anything runs.

Merged in this order, later over earlier: class defaults, the preset, the YAML files, the best
configuration found by tuning, `--params`. A null in YAML means "not set here": the preset decides,
then the class default.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from .auto_preset import AutoRule, auto_layer, parse_rules, possible_layers
from .config import RunConfig, Section
from .errors import ConfigurationError, did_you_mean
from .resolve import Layer, Resolved, flatten, locate, resolve, unflatten, validated

logger = logging.getLogger(__name__)

AUTO = "auto"
NONE = "none"
IGNORE = "ignore"
RUNTIME = "--params"
DRY_RUN = "dry_run"
OWN_KEYS = ("preset", "presets", "auto", "predict", "tuning", "best_config", DRY_RUN)


class TaskParameters(NamedTuple):
    """The parameters of one task as the pipelines pass them on.

    A named tuple: Kedro would try to build a dataclass or a pydantic model from the raw YAML.
    """

    task: str
    config_class: type[RunConfig]
    predict: Section
    preset: str
    presets: Mapping[str, Mapping[str, Any]]
    auto: tuple[AutoRule, ...]
    """The rules of the preset `auto`."""
    files: Layer
    runtime: Layer
    best_config: str = AUTO
    """auto: train with the best configuration of tuning if there is one; ignore: without it."""

    def resolve(
        self, facts: Mapping[str, float] | None = None, *, best: Layer | None = None
    ) -> Resolved[RunConfig]:
        """Return the configuration under the preset.

        `auto` goes by the `facts` of the data. For None, it is the first of its possible choices
        that is valid with the user's values; sections that no preset sets (ingest, split) are the
        same in all of them.
        """
        if self.preset != AUTO:
            return self._resolve(self._preset_layer(), best)
        if facts is not None:
            return self._resolve(auto_layer(self.auto, facts), best)
        return self._resolve_first_valid()

    def _preset_layer(self) -> Layer:
        return Layer(
            f"preset {self.preset}", {} if self.preset == NONE else self.presets[self.preset]
        )

    def _resolve(self, chosen: Layer, best: Layer | None = None) -> Resolved[RunConfig]:
        searched = [replace(best, is_searched=True)] if best else []
        layers = [chosen, self.files, *searched, self.runtime]
        return resolve(
            self.config_class, Layer("task", {"task": self.task}), *layers, root=self.task
        )

    def searchable(
        self, space: Mapping[str, Any], *, root: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Drop (and log) the parameters of a search space that belong to unselected variants.

        Return it with the configuration by dotted key, including every key that may be searched.
        """
        config = self.resolve().config
        known = dict(flatten(config.model_dump()))
        leaves = dict(flatten(space))
        kept, dropped = dict(leaves), dict[str, dict[str, None]]()
        for key in leaves:
            place = locate(type(config), key, known)
            if not place.other_variant:
                continue
            name = place.path + place.name
            if any(other.startswith(f"{place.selector}.") for other in leaves):
                known[name] = None  # the selector is searched, too
            else:
                dropped.setdefault(place.fault, {})[name] = None
                del kept[key]
        for reason, names in dropped.items():
            logger.info("%s: not searched: %s; %s", root, ", ".join(names), reason)
        return unflatten(kept) if dropped else dict(space), known

    def _resolve_first_valid(self) -> Resolved[RunConfig]:
        errors: list[ConfigurationError] = []
        for layer in possible_layers(self.auto):
            try:
                return self._resolve(layer)
            except ConfigurationError as error:
                errors.append(error)
        raise errors[0]


class ParameterParser(NamedTuple):
    """Checks the parameters of one task."""

    task: str
    config_class: type[RunConfig]
    predict_class: type[Section]
    data_facts: tuple[str, ...] = ()
    """What the rules of the preset `auto` may go by; empty: the task has no such preset."""

    def __call__(
        self, *, values: Mapping[str, Any], runtime: Mapping[str, Any], origins: Mapping[str, str]
    ) -> TaskParameters:
        """Check the merged `values` of a task, of which `runtime` came from the command line.

        `origins` gives the file of each dotted key. Raises one error with all faults.
        """
        task = self.task
        _require_groups(task, values)
        runtime_leaves = dict(flatten(runtime))
        file_leaves = {k: v for k, v in flatten(values) if k not in runtime_leaves}
        presets = values.get("presets") or {}
        preset = str(values.get("preset") or NONE)
        names = [*([AUTO] if self.data_facts else []), NONE, *presets]
        if preset not in names:
            raise ConfigurationError(
                f"{task}.preset={preset!r} is not a preset; {did_you_mean(preset, names)}"
            )
        best_config = str(values.get("best_config") or AUTO)
        faults: list[str] = []
        if best_config not in (AUTO, IGNORE):
            faults.append(
                f"{task}.best_config={best_config!r} is neither {AUTO} (train with the best "
                f"configuration that tuning found, where there is one) nor {IGNORE}"
            )
        faults += _dry_run_faults(task, values, runtime, origins)
        predict = Section()
        try:
            predict = _predict_section(
                self.predict_class, file_leaves, runtime_leaves, origins, task=task
            )
        except ConfigurationError as error:
            faults += error.faults
        parameters = TaskParameters(
            task=task,
            config_class=self.config_class,
            predict=predict,
            preset=preset,
            presets=presets,
            auto=parse_rules(task, values.get("auto"), self.data_facts),
            files=Layer("conf", _run_values(file_leaves), origins),
            runtime=Layer(RUNTIME, _run_values(runtime_leaves)),
            best_config=best_config,
        )
        try:
            parameters.resolve()
        except ConfigurationError as error:
            faults += error.faults
        if faults:
            raise ConfigurationError(faults)
        return parameters


def _require_groups(task: str, values: Any) -> None:
    """Refuse a single value or null in place of a group of parameters."""
    groups = {task: values}
    if isinstance(values, Mapping) and values.get("presets") is not None:
        groups[f"{task}.presets"] = presets = values["presets"]
        if isinstance(presets, Mapping):
            groups |= {f"{task}.presets.{name}": preset for name, preset in presets.items()}
    faults = [
        f"{key}={group!r} is not a group of parameters; write them below it as `name: value`"
        for key, group in groups.items()
        if not isinstance(group, Mapping)
    ]
    if faults:
        raise ConfigurationError(faults)


def _dry_run_faults(
    task: str, values: Mapping[str, Any], runtime: Mapping[str, Any], origins: Mapping[str, str]
) -> list[str]:
    """Allow dry_run on the command line only: it replaces the run that was asked for."""
    key = f"{task}.{DRY_RUN}"
    if DRY_RUN not in runtime:
        if values.get(DRY_RUN) is None:
            return []
        return [
            f"{key} belongs on the command line ({RUNTIME} {key}=true), not into a file (set in "
            f"{origins.get(DRY_RUN, 'conf')}): it would replace every run; take it out"
        ]
    if not isinstance(runtime[DRY_RUN], bool):
        return [f"{key}={runtime[DRY_RUN]!r} is neither true nor false (set in {RUNTIME})"]
    return []


def _predict_section(
    predict_class: type[Section],
    file_leaves: Mapping[str, Any],
    runtime_leaves: Mapping[str, Any],
    origins: Mapping[str, str],
    *,
    task: str,
) -> Section:
    prefix = "predict."
    leaves = {
        key.removeprefix(prefix): value
        for key, value in {**file_leaves, **runtime_leaves}.items()
        if key.startswith(prefix) and value is not None
    }
    places = {
        key: RUNTIME if prefix + key in runtime_leaves else origins.get(prefix + key, "conf")
        for key in leaves
    }
    return validated(predict_class, leaves, places, root=f"{task}.predict")


def _run_values(leaves: Mapping[str, Any]) -> dict[str, Any]:
    return unflatten({k: v for k, v in leaves.items() if k.split(".")[0] not in OWN_KEYS})
