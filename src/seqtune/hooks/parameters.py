"""Each task's parameters are checked before any node runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from seqtune.contracts.config import (
    ClusterConfig,
    EnsembleConfig,
    Section,
    ValidateConfig,
    VerifyConfig,
)
from seqtune.contracts.errors import ConfigurationError, did_you_mean
from seqtune.contracts.parameters import RUNTIME, TaskParameters
from seqtune.contracts.resolve import Layer, flatten, resolve
from seqtune.pipeline_registry import TASKS
from seqtune.pipelines._template import CLUSTER
from seqtune.tuning.parameters import SPACES, TuningParameters, parse_tuning

SectionT = TypeVar("SectionT", bound=Section)


def _read(file: Path, origin: str) -> dict[str, Any]:
    try:
        values: dict[str, Any] | None = _parsed(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(
            f"{origin}{where}: this is no YAML ({getattr(error, 'problem', error)}); look for a "
            "bracket, a quote or an indentation there"
        ) from error
    return values or {}


def _parsed(text: str) -> Any:
    """By libyaml, where PyYAML was built with it; PyYAML's own parser, ten times as slow, says
    better what is wrong with a text."""
    fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=fast)  # noqa: S506
    except yaml.YAMLError:
        return yaml.safe_load(text)


class ParameterHooks:
    """Turns each task's YAML into typed, checked `TaskParameters` that know their origins.

    Kedro's own typed parameters cannot do this: the class differs per task while the node is the
    same function, and origins are lost by the time a node sees a value (decision 0002).
    """

    def __init__(self) -> None:
        self._origins: dict[str, str] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        loader = context.config_loader
        source = Path(getattr(loader, "conf_source", context.project_path / "conf"))
        environments = ("base", context.env or "local")
        self._origins = {}
        for environment in environments:
            for file in sorted((source / environment).rglob("parameters*.yml")):
                origin = str(Path(source.name) / file.relative_to(source))
                values = _read(file, origin)
                self._origins.update({key: origin for key, _ in flatten(values)})

    @hook_impl(tryfirst=True)  # the other hooks read what is parsed here
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        values: dict[str, Any] = catalog["parameters"].load()
        runtime: dict[str, Any] = run_params.get("runtime_params") or {}
        self._refuse_unknown_tops(runtime)
        wanted = {name for name in pipeline.inputs() if name.startswith("params:")}
        if CLUSTER in wanted:
            catalog[CLUSTER].save(self._section(ClusterConfig, "cluster", values, runtime))
        for task in TASKS:
            engine_wanted = f"params:{task.name}.tuning" in wanted
            if engine_wanted or f"params:{task.name}" in wanted:
                parsed = task.parse_parameters(
                    values=values.get(task.name) or {},
                    runtime=runtime.get(task.name) or {},
                    origins=self._below(task.name),
                )
                catalog[f"params:{task.name}"].save(parsed)
                if engine_wanted:
                    engine = self._engine(task.name, values, runtime, parsed)
                    catalog[f"params:{task.name}.tuning"].save(engine)

    def _engine(
        self,
        task: str,
        values: Mapping[str, Any],
        runtime: Mapping[str, Any],
        parsed: TaskParameters,
    ) -> TuningParameters:
        """The parameters of the engine for one task: `tuning`, under `<task>.tuning`."""
        own = dict((values.get(task) or {}).get("tuning") or {})
        known = dict(flatten(parsed.resolve().config.model_dump()))
        if isinstance(spaces := own.get(SPACES), Mapping):
            own[SPACES] = dict(spaces)
            for stage, space in spaces.items():
                if isinstance(space, Mapping):
                    root = f"{task}.tuning.{SPACES}.{stage}"
                    own[SPACES][stage], more = parsed.searchable(space, root=root)
                    known |= more
        return parse_tuning(
            task,
            engine=Layer("conf", values.get("tuning") or {}, self._below("tuning")),
            own=Layer("conf", own, self._below(f"{task}.tuning")),
            runtime=runtime.get("tuning") or {},
            own_runtime=(runtime.get(task) or {}).get("tuning") or {},
            known=known,
            verify=self._section(VerifyConfig, "verify_env", values, runtime),
            validate=self._section(ValidateConfig, "validate", values, runtime),
            ensemble=self._section(EnsembleConfig, "ensemble", values, runtime),
        )

    def _section(
        self,
        section: type[SectionT],
        name: str,
        values: Mapping[str, Any],
        runtime: Mapping[str, Any],
    ) -> SectionT:
        files = Layer("conf", values.get(name) or {}, self._below(name))
        return resolve(section, files, Layer(RUNTIME, runtime.get(name) or {}), root=name).config

    def _below(self, task: str) -> dict[str, str]:
        prefix = f"{task}."
        return {
            key.removeprefix(prefix): origin
            for key, origin in self._origins.items()
            if key.startswith(prefix)
        }

    def _refuse_unknown_tops(self, runtime: dict[str, Any]) -> None:
        known = sorted({key.split(".")[0] for key in self._origins})
        faults = [
            f"{key} is not a group of parameters; {did_you_mean(key, known)} (set in {RUNTIME})"
            for key in runtime
            if key not in known
        ]
        if faults:
            raise ConfigurationError(faults)
