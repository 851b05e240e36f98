"""Read and check the tuning parameters before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.parameters import NONE, RUNTIME
from seqtune.core.resolve import Layer, flatten, resolve, unflatten
from seqtune.core.trials import Params

from .budgets.plans import enabled_stages
from .config import TuningConfig
from .objectives.constraints import check_forbidden
from .objectives.pareto import check_objectives
from .spaces.space import Space, parse_space

SPACES = "spaces"
SPACE, OTHER_SPACES, DEFAULT = "space", "other_spaces", "default"
PORTFOLIO = "portfolio"
SEARCHED_STAGES = ("quick", "medium")
NOT_SEARCHABLE = {
    "seed": "the best seed is luck; the stage `seed` measures it (tuning.stages.seed.enabled)",
    "training.epochs": "it is the budget of a stage (tuning.stages.<stage>.epochs)",
    "training.resume": "it does not change the result of a run",
    "training.save_state_every_minutes": "it does not change the result of a run",
}
MADE_BEFORE = ("task", "ingest.", "split.")
"""Keys of what is made before training: no trial can change them."""


class TuningParameters(NamedTuple):
    """The parameters of the engine for one task.

    A named tuple: Kedro would try to build a dataclass or a pydantic model from the raw YAML.
    """

    task: str
    config: TuningConfig
    spaces: Mapping[str, Space]
    """By stage: quick and medium."""
    portfolio: tuple[Params, ...] = ()
    """Configurations that did well on other data; the quick stage begins with them."""
    space_root: str = ""
    """Where the spaces stand in the parameters."""


def parse_tuning(
    task: str,
    *,
    engine: Layer,
    own: Layer,
    runtime: Mapping[str, Any],
    own_runtime: Mapping[str, Any],
    known: Mapping[str, Any],
    preset: str = NONE,
) -> TuningParameters:
    """Check `tuning` (`engine`, for all tasks) under `<task>.tuning` (`own`), and the spaces.

    `known` is the task's configuration without tuning, under `preset`, by dotted key.
    """
    faults: list[str] = []
    config = TuningConfig()
    layers = engine, own, Layer(RUNTIME, runtime), Layer(RUNTIME, own_runtime)
    try:
        config = resolve(TuningConfig, *map(_drop_spaces, layers), root="tuning").config
    except ConfigurationError as error:
        faults += error.faults
    spaces: dict[str, Space] = {}
    portfolio: tuple[Params, ...] = ()
    root = ""
    try:
        path = space_path(own.values, preset=preset, root=f"{task}.tuning")
        root = ".".join((task, "tuning", *path))
        selected = dict(spaces_at(path, own.values))
        portfolio = _portfolio(selected.pop(PORTFOLIO, None), root=root, known=known)
    except ConfigurationError as error:
        faults += error.faults
    else:
        spaces, faults_of_spaces = _spaces(selected, task=task, root=root, known=known)
        faults += faults_of_spaces
    faults += _faults_of(config, known)
    if faults:
        raise ConfigurationError(faults)
    return TuningParameters(task, config, spaces, portfolio, root)


def space_path(values: Mapping[str, Any], *, preset: str, root: str) -> tuple[str, ...]:
    """Return the keys that lead to the spaces that `<task>.tuning` selects by name; without a name,
    those named like the preset, if there are any."""
    others = values.get(OTHER_SPACES) or {}
    name = values.get(SPACE) or (preset if preset in others else DEFAULT)
    if name == DEFAULT:
        return (SPACES,)
    if not isinstance(name, str) or name not in others:
        raise ConfigurationError(
            f"{root}.{SPACE}={name!r} is not a space; {did_you_mean(str(name), [DEFAULT, *others])}"
        )
    return OTHER_SPACES, name


def spaces_at(path: Sequence[str], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the space of each stage, and the portfolio; empty if there is none."""
    for key in path:
        values = values.get(key) or {}
    return values


def _portfolio(written: Any, *, root: str, known: Mapping[str, Any]) -> tuple[Params, ...]:
    """Read known good configurations; each is moved into the space of the stage later."""
    root, entries = f"{root}.{PORTFOLIO}", written or []
    if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
        raise ConfigurationError(f"{root} is not a list of configurations, each a group of values")
    found = tuple(dict(flatten(one)) for one in entries)
    faults = [
        f"{root}: {key} is not a parameter; {did_you_mean(key, list(known))}"
        for key in dict.fromkeys(key for one in found for key in one)
        if key not in known
    ]
    if faults:
        raise ConfigurationError(faults)
    return found


def _spaces(
    written: Mapping[str, Any], *, task: str, root: str, known: Mapping[str, Any]
) -> tuple[dict[str, Space], list[str]]:
    """Read the space of each stage, and list the faults."""
    spaces: dict[str, Space] = {}
    faults = [
        f"{root}.{stage} is not a stage with a space; {did_you_mean(stage, SEARCHED_STAGES)}"
        for stage in written
        if stage not in SEARCHED_STAGES
    ]
    for stage in SEARCHED_STAGES:
        values = written.get(stage) or {}
        try:
            spaces[stage] = task_space(
                values, task=task, stage=stage, known=known, root=f"{root}.{stage}"
            )
        except ConfigurationError as error:
            faults += error.faults
    return spaces, faults


def _faults_of(config: TuningConfig, known: Mapping[str, Any]) -> list[str]:
    """List what does not fit together or to the task."""
    metric, mode = known["training.monitor"], known["training.monitor_mode"]
    faults = check_forbidden(config.forbidden, known, root="tuning.forbidden")
    faults += check_objectives(config, metric=metric, mode=mode, root="tuning")
    try:
        enabled_stages(config)
    except ConfigurationError as error:
        faults += error.faults
    return faults


def task_space(
    values: Mapping[str, Any], *, task: str, stage: str, known: Collection[str], root: str = ""
) -> Space:
    """Read the space of one stage; refuse what no trial may change."""
    root = root or f"{task}.tuning.{SPACES}.{stage}"
    space = parse_space(values, root=root, known_keys=known)
    faults = [
        f"{root}.{key} cannot be searched: {reason}"
        for key in space.keys
        if (reason := not_searchable(key))
    ]
    if faults:
        raise ConfigurationError(faults)
    return space


def not_searchable(key: str) -> str:
    """Explain why no trial may set this key; empty if it may."""
    if key == MADE_BEFORE[0] or key.startswith(MADE_BEFORE[1:]):
        return "it belongs to what is made before training"
    return NOT_SEARCHABLE.get(key, "")


def _drop_spaces(layer: Layer) -> Layer:
    kept = layer.values.keys() - {SPACE, SPACES, OTHER_SPACES}
    values = {key: value for key, value in layer.values.items() if key in kept}
    return Layer(layer.name, unflatten(dict(flatten(values))), layer.origins)
