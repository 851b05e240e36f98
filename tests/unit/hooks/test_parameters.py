"""What a node receives in the place of YAML, and what is refused before any node runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from seqtune.core.config import EnsembleConfig, VerifyConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.hooks import ParameterHooks
from seqtune.tuning.parameters import TuningParameters

VALUES: dict[str, Any] = {
    "recommend": {"seed": 7, "tuning": {"spaces": {}}},
    "tuning": {"seed": 1},
    "verify_env": {"num_steps": 2},
    "ensemble": {"top": 4},
}
Check = Callable[..., DataCatalog]


class Loader:
    parameter_origins = {  # noqa: RUF012
        "recommend.seed": "conf/base/a.yml",
        "tuning.seed": "conf/base/b.yml",
        "verify_env.num_steps": "conf/base/b.yml",
        "ensemble.top": "conf/local/c.yml",
    }


class Context:
    config_loader = Loader()


def check(*inputs: str, runtime: dict[str, Any] | None = None, **values: Any) -> DataCatalog:
    """The catalog after the parameters of a pipeline with these inputs were checked."""
    merged = {**VALUES, **values}
    for group, given in (runtime or {}).items():
        below = {**merged.get(group, {}), **given} if isinstance(given, dict) else given
        merged[group] = below
    catalog = DataCatalog()
    catalog["parameters"] = merged
    for group, below in merged.items():
        catalog[f"params:{group}"] = below
    catalog["params:recommend.tuning"] = merged["recommend"].get("tuning")
    pipeline = Pipeline([Node(lambda *_: 1, inputs=list(inputs), outputs="made", name="node")])
    hooks = ParameterHooks()
    hooks.after_context_created(Context())  # type: ignore[arg-type]
    hooks.before_pipeline_run({"runtime_params": runtime}, pipeline, catalog)
    return catalog


def test_a_node_receives_what_it_names_and_nothing_else_is_replaced() -> None:
    catalog = check("params:recommend", "params:verify_env")

    assert isinstance(catalog["params:recommend"].load(), TaskParameters)
    assert catalog["params:verify_env"].load() == VerifyConfig(num_steps=2)
    assert catalog["params:ensemble"].load() == {"top": 4}
    assert catalog["params:recommend.tuning"].load() == {"spaces": {}}


def test_the_engine_is_that_of_the_task() -> None:
    own = {"seed": 7, "tuning": {"seed": 2, "spaces": {}}}
    catalog = check("params:recommend.tuning", recommend=own)

    tuning = catalog["params:recommend.tuning"].load()
    assert isinstance(tuning, TuningParameters)
    assert tuning.config.seed == 2


def test_the_command_line_wins_over_files() -> None:
    catalog = check("params:ensemble", runtime={"ensemble": {"top": 9}})

    assert catalog["params:ensemble"].load() == EnsembleConfig(top=9)


def test_a_value_knows_its_file() -> None:
    parameters = check("params:recommend")["params:recommend"].load()

    assert parameters.resolve().origins["seed"] == "conf/base/a.yml"


def test_all_faults_are_raised_at_once_each_with_its_origin() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(
            "params:recommend",
            "params:recommend.tuning",
            "params:ensemble",
            runtime={"tunning": {"seed": 3}, "recommend": {"sead": 1}},
            ensemble={"top": "many"},
        )

    unknown, section, parameter = caught.value.faults
    assert unknown.startswith("tunning is not a group of parameters; did you mean 'tuning'?")
    assert section.startswith("ensemble.top='many'")
    assert section.endswith("(set in conf/local/c.yml)")
    assert parameter == "recommend.sead is not a parameter; did you mean 'seed'? (set in --params)"


def test_what_is_typed_for_a_stage_that_does_not_run_is_checked_too() -> None:
    with pytest.raises(ConfigurationError, match=r"ensemble\.tpo is not a parameter"):
        check("params:recommend", runtime={"ensemble": {"tpo": 1}})


def test_one_value_is_no_group() -> None:
    with pytest.raises(ConfigurationError, match="verify_env=3 is not a group of parameters"):
        check("params:verify_env", runtime={"verify_env": 3})
