"""`tuning` for all tasks, `<task>.tuning` for one, and the spaces."""

from __future__ import annotations

from typing import Any

import pytest

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Layer
from seqtune.tuning.parameters import TuningParameters, parse_tuning, task_space

KNOWN = {
    "task": "toy",
    "seed": 42,
    "split.test_items": 1,
    "model.size": 3,
    "training.lr": 0.1,
    "training.epochs": 5,
    "training.monitor": "val_score",
    "training.monitor_mode": "max",
}
LR = {"training": {"lr": {"type": "float", "low": 0.01, "high": 1.0, "log": True}}}


def parse(
    engine: dict[str, Any] | None = None,
    own: dict[str, Any] | None = None,
    *,
    runtime: dict[str, Any] | None = None,
    own_runtime: dict[str, Any] | None = None,
    preset: str = "none",
) -> TuningParameters:
    return parse_tuning(
        "toy",
        engine=Layer("conf", engine or {}),
        own=Layer("conf", own or {"spaces": {"quick": LR, "medium": LR}}),
        runtime=runtime or {},
        own_runtime=own_runtime or {},
        known=KNOWN,
        preset=preset,
    )


def test_a_task_overrides_the_engine_and_the_command_line_both() -> None:
    engine = {"seed": 1, "budget": "one_day", "rerank": {"top": 9}}
    own = {"budget": "one_week", "rerank": {"top": 8}}
    parsed = parse(engine, own, own_runtime={"rerank": {"top": 7}}).config
    assert (parsed.seed, parsed.budget, parsed.rerank.top, parsed.rerank.seeds) == (
        1,
        "one_week",
        7,
        3,
    )


def test_spaces_are_parsed_by_stage() -> None:
    parsed = parse(own={"spaces": {"quick": LR}})
    assert parsed.spaces["quick"].keys == ("training.lr",)
    assert parsed.spaces["medium"].keys == ()


def test_all_faults_are_told_at_once() -> None:
    engine = {"sampler": {"kind": "tpee"}}
    wrong = {"training": {"lr": {"type": "float", "low": 2.0, "high": 1.0}}}
    own = {"spaces": {"quick": wrong, "mediun": LR, "medium": {"model": {"szie": {"type": "int"}}}}}
    with pytest.raises(ConfigurationError) as caught:
        parse(engine, own)
    message = str(caught.value)
    for part in (
        "tuning.sampler.kind",
        "toy.tuning.spaces.quick.training.lr",
        "toy.tuning.spaces.mediun is not a stage with a space; did you mean 'medium'?",
        "toy.tuning.spaces.medium.model.szie",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("seed", "luck"),
        ("training.epochs", "budget of a stage"),
        ("split.test_items", "made before training"),
    ],
)
def test_what_no_trial_may_change_is_refused(key: str, why: str) -> None:
    nested: dict[str, Any] = {"type": "int", "low": 0, "high": 3}
    for part in reversed(key.split(".")):
        nested = {part: nested}
    with pytest.raises(ConfigurationError, match=rf"toy\.tuning\.spaces\.quick\.{key}.*{why}"):
        task_space(nested, task="toy", stage="quick", known=KNOWN)


def test_an_objective_that_nobody_can_pick_from_is_refused_before_the_search() -> None:
    with pytest.raises(ConfigurationError, match=r"tuning\.pick"):
        parse({"pick": {"by": "knee"}})


def test_an_unknown_budget_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"tuning\.budget.*did you mean 'one_day'"):
        parse(runtime={"budget": "oneday"})


def test_a_forbidden_combination_of_unknown_keys_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"tuning\.forbidden.*model\.sise"):
        parse({"forbidden": [{"name": "f", "when": {"model.sise": 1}}]})


def test_a_space_is_selected_by_name() -> None:
    own = {"space": "mine", "spaces": {"quick": {}}, "other_spaces": {"mine": {"quick": LR}}}
    assert parse(own=own).spaces["quick"].keys == ("training.lr",)
    assert parse(own=own | {"space": "default"}).spaces["quick"].keys == ()
    with pytest.raises(ConfigurationError, match=r"space=\{'x': None\} is not a space; choose one"):
        parse(own=own | {"space": {"x": None}})
    with pytest.raises(ConfigurationError, match="space='min' is not a space; did you mean 'mine'"):
        parse(own=own | {"space": "min"})


def test_a_preset_has_the_space_of_its_name_unless_one_is_named() -> None:
    own = {"spaces": {"quick": {}}, "other_spaces": {"mine": {"quick": LR}}}
    assert parse(own=own, preset="mine").space_root == "toy.tuning.other_spaces.mine"
    assert parse(own=own, preset="other").space_root == "toy.tuning.spaces"
    assert parse(own=own | {"space": "default"}, preset="mine").space_root == "toy.tuning.spaces"


def test_a_portfolio_is_read_with_its_space() -> None:
    own = {"spaces": {"quick": LR, "portfolio": [{"training": {"lr": 0.002}}]}}
    assert parse(own=own).portfolio == ({"training.lr": 0.002},)
    own["spaces"]["portfolio"] = [{"training": {"lrr": 0.002}}]
    with pytest.raises(ConfigurationError, match=r"portfolio: training\.lrr is not a parameter"):
        parse(own=own)
