"""Spaces: every fault is told with its path, every value lies inside, order makes no difference."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from seqtune.core.errors import ConfigurationError
from seqtune.tuning.spaces.space import Parameter, Space, parse_space

WRITTEN = """
model:
  hidden_units: {type: categorical, choices: [256, 128], group: model}
  dropout_rate: {type: float, low: 0.1, high: 0.3, floor: 0.15, warn_below: 0.15}
training:
  scheduler: {type: categorical, choices: [none, step, cosine], group: learning_rate}
  step_gamma: {type: float, low: 0.1, high: 0.9, step: 0.2, when: {training.scheduler: [step]}}
  lr: {type: float, low: 8.0e-4, high: 5.0e-3, log: true, group: learning_rate}
  batch_size: {type: int, low: 128, high: 512, step: 128, warn_above: 256}
  num_steps: {type: int, low: 1, high: 1000, log: true}
"""
VALUES = yaml.safe_load(WRITTEN)


def parsed(text: str, **kwargs: Any) -> Space:
    return parse_space(yaml.safe_load(text), root="toy.space", **kwargs)


def faults(text: str, **kwargs: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parsed(text, **kwargs)
    return caught.value.faults


# ---- reading -------------------------------------------------------------------------------------


def test_parents_come_first_then_keys_in_their_order() -> None:
    assert parsed(WRITTEN).keys == (
        "model.dropout_rate",
        "model.hidden_units",
        "training.batch_size",
        "training.lr",
        "training.num_steps",
        "training.scheduler",
        "training.step_gamma",
    )


def test_order_of_the_yaml_and_of_choices_makes_no_difference() -> None:
    turned = {
        group: dict(reversed(parameters.items())) for group, parameters in reversed(VALUES.items())
    }
    turned["model"]["hidden_units"] = {**turned["model"]["hidden_units"], "choices": [128, 256]}

    assert parse_space(turned, root="toy") == parsed(WRITTEN)


def test_dotted_and_nested_keys_are_the_same() -> None:
    assert parsed("training.lr: {type: float, low: 0, high: 1}") == parsed(
        "training: {lr: {type: float, low: 0.0, high: 1.0, log: false, step: null}}"
    )


def test_a_null_takes_a_parameter_a_group_or_a_field_out() -> None:
    space = parsed("a: null\nb: {c: null, d: {type: int, low: 1, high: 3, floor: null}}")

    assert space.parameters == (Parameter("b.d", "int", low=1, high=3),)
    assert parse_space(None, root="toy") == Space()


def test_a_searched_key_may_itself_be_called_type() -> None:
    assert parsed("optimizer: {type: {type: categorical, choices: [a, b]}}").keys == (
        "optimizer.type",
    )


def test_mixed_choices_have_one_order() -> None:
    space = parsed("a: {type: categorical, choices: [b, 2, null, true, 1.5, a]}")

    assert space["a"].choices == (None, True, 1.5, 2, "a", "b")


def test_a_floor_below_the_range_is_fine() -> None:
    """The stages of a parameter share it, and a later one begins higher."""
    assert parsed("a: {type: float, low: 0.2, high: 0.3, floor: 0.1}")["a"].floor == 0.1


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("{type: flot, low: 0, high: 1}", "a: type='flot' does not exist; did you mean 'float'?"),
        ("{low: 0, high: 1}", "a lacks `type`; give one of float, int, categorical"),
        ("5", "a=5 is not a parameter; write {type: float, low: .., high: ..}, or null"),
        ("{type: float, low: 0}", "a: high is missing; a range needs low and high"),
        ("{type: float, low: 2, high: 1}", "a: low=2.0 is above high=1.0; swap them"),
        ("{type: float, low: 0, high: 1, log: true}", "a: log with low=0.0: a logarithmic range"),
        ("{type: int, low: 0, high: 9, log: true}", "a: log with low=0: a logarithmic range"),
        ("{type: float, low: 1, high: 9, log: true, step: 2}", "a: log and step=2.0 exclude each"),
        ("{type: float, low: 0, high: 1, log: 1}", "a: log=1 is neither true nor false"),
        ("{type: float, low: 0, high: 1, step: 0}", "a: step=0.0 must be above 0"),
        ("{type: float, low: 0, high: 1, step: 2}", "a: step=2.0 is larger than the range 0.0 .. "),
        ("{type: int, low: 1, high: 8, step: 3}", "a: step=3 does not reach high=8 from low=1; set "
         "high to 7 or 10"),
        ("{type: float, low: 0.1, high: 1, step: 0.4}", "a: step=0.4 does not reach high=1.0 from "
         "low=0.1; set high to 0.9 or 1.3"),
        ("{type: float, low: 0, high: 1, floor: 2}", "a: floor=2.0 is above high=1.0; lower it"),
        ("{type: int, low: 1.0, high: 2}", "a: low=1.0 is not an int; write 1"),
        ("{type: int, low: true, high: 2}", "a: low=True is not an int"),
        ("{type: int, low: 1, high: 90071992547409930}", "a: high=90071992547409930 is too large"),
        ("{type: float, low: 8e-4, high: 1}", "a: low='8e-4' is not a number but a text to YAML; "
         "write 8.0e-4"),
        ("{type: float, low: .nan, high: .inf}", "a: low=nan is too large; give a finite number"),
        ("{type: float, low: 0, high: 1, choices: [1]}", "a: choices has no effect on type=float"),
        ("{type: float, low: 0, high: 1, hihg: 2}", "a: hihg is not a field; did you mean 'high'?"),
        ("{type: float, low: 0, high: 1, group: all}", "a: group='all' is not a name; give a text"),
        ("{type: categorical}", "a: choices are missing; give a list of values"),
        ("{type: categorical, choices: 3}", "a: choices=3 is not a list of values"),
        ("{type: categorical, choices: []}", "a: choices are empty; give at least one value"),
        ("{type: categorical, choices: [x, x]}", "a: choice 'x' is given twice"),
        ("{type: categorical, choices: [1, true]}", "a: choices 1 and True are equal to a study"),
        ("{type: categorical, choices: [1, 1.0]}", "a: choices 1 and 1.0 are equal to a study"),
        ("{type: categorical, choices: [[1], 2]}", "a: choice [1] is not a single value; a study "
         "cannot read lists back, so give each one a name"),
        ("{type: categorical, choices: [.inf]}", "a: choice inf is not a finite number"),
        ("{type: categorical, choices: [1e-4]}", "a: choice '1e-4' is not a number but a text to"),
        ("{type: categorical, choices: [x, 1], warn_above: 1}", "a: warn_above have no effect"),
        ("{type: categorical, choices: [1], low: 1}", "a: low has no effect on type=categorical"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused_with_its_path(written: str, fault: str) -> None:
    assert faults(f"a: {written}")[0].startswith(f"toy.space.{fault}")


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ("{mode: [fast]}", "mode never is 'fast'; it is one of 'plain', 'rich'"),
        ("{mode: [true]}", "mode never is True"),
        ("{mod: [rich]}", "mod is not searched, so the condition never changes; did you mean 'mo"),
        (
            "{rate: [0.5]}",
            "rate is a float, which is hardly ever exactly a value; give it choices, ",
        ),
    ],
)
def test_a_condition_that_cannot_change_is_refused(when: str, fault: str) -> None:
    text = f"""
    mode: {{type: categorical, choices: [plain, rich]}}
    rate: {{type: float, low: 0, high: 1}}
    child: {{type: int, low: 0, high: 9, when: {when}}}
    """

    (found,) = faults(text)

    assert found.startswith(f"toy.space.child.when.{found.split('.when.')[1].split(':')[0]}: ")
    assert fault in found


def test_conditions_in_a_circle_are_refused() -> None:
    (found,) = faults(
        "a: {type: int, low: 1, high: 2, when: {b: 1}}\n"
        "b: {type: int, low: 1, high: 2, when: {c: 1}}\n"
        "c: {type: int, low: 1, high: 2, when: {a: 1}}\n"
        "d: {type: int, low: 1, high: 2}"
    )

    assert found == ("toy.space: the conditions (when) of a, b, c form a cycle; remove one of them")


def test_unknown_keys_are_refused_and_all_faults_told_at_once() -> None:
    found = faults(
        "model: {num_head: {type: int, low: 3, high: 1}, x: 1}", known_keys=["model.num_heads"]
    )

    assert len(found) == 3
    assert found[0] == (
        "toy.space.model.num_head is not a parameter of the task; did you mean 'model.num_heads'?"
    )


def test_a_key_given_twice_or_below_another_is_refused() -> None:
    number = "{type: int, low: 1, high: 2}"

    (twice,) = faults(f"a: {{b: {number}}}\na.b: {number}")
    (below,) = faults(f"a.b: {number}\na.b.c: {number}")

    assert twice == "toy.space.a.b is given twice, nested and dotted; leave one out"
    assert below == "toy.space.a.b is a parameter and cannot hold another, a.b.c"


# ---- properties ----------------------------------------------------------------------------------

finite = st.floats(-1e6, 1e6).map(lambda number: round(number, 6))
units = st.floats(0.0, 1.0)


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["float", "log", "step", "int", "int log", "categorical"]))
    if kind == "categorical":
        one = st.one_of(st.none(), st.booleans(), st.integers(2, 9), st.text(alphabet="abc"))
        return {"type": kind, "choices": draw(st.lists(one, min_size=1, max_size=5, unique=True))}
    if kind.startswith("int"):
        low, step = draw(st.integers(1, 50)), draw(st.integers(1, 7))
        step = 1 if kind == "int log" else step
        high = low + step * draw(st.integers(1, 40))
        return {"type": "int", "low": low, "high": high, "step": step, "log": kind == "int log"}
    if kind == "step":
        low, step = draw(st.integers(-50, 50)), draw(st.integers(1, 9))
        high = low + step * draw(st.integers(1, 40))
        return {"type": "float", "low": low / 10, "high": high / 10, "step": step / 10}
    low, high = sorted([draw(finite), draw(finite)])
    if kind == "log":
        low, high = abs(low) + 1e-6, abs(low) + abs(high) + 1e-6
    return {"type": "float", "low": low, "high": high, "log": kind == "log"}


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Up to five parameters, of which some exist only under the first."""
    written = {f"group.p{index}": draw(fields()) for index in range(draw(st.integers(1, 5)))}
    mode = {"type": "categorical", "choices": ["on", "off"]}
    for one in list(written.values()):
        if draw(st.booleans()):
            one["when"] = {"mode": "on"}
    return parse_space({**written, "mode": mode}, root="toy")


@settings(max_examples=60, deadline=None)
@given(spaces(), st.data())
def test_every_point_of_the_unit_cube_lies_inside(space: Space, data: st.DataObject) -> None:
    size = len(space.parameters)
    point = data.draw(st.lists(units, min_size=size, max_size=size))

    values = space.from_unit(point)

    assert space.contains(values)
    assert space.checked(values, root="queue") == values
    assert space.suggest(FixedTrial(values)) == values
    for key, distribution in space.distributions().items():
        if key in values:
            assert distribution._contains(distribution.to_internal_repr(values[key]))


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_what_is_written_is_read_back(space: Space) -> None:
    as_yaml = yaml.safe_dump(space.as_dict())

    assert parse_space(yaml.safe_load(as_yaml), root="toy") == space
    assert pickle.loads(pickle.dumps(space)) == space


# ---- values --------------------------------------------------------------------------------------


def test_grids_share_the_unit_interval_equally() -> None:
    choice = Parameter("c", "categorical", choices=("a", "b", "c", "d"))
    steps = Parameter("s", "float", low=0.1, high=0.5, step=0.2)

    assert [choice.from_unit(u) for u in (0.0, 0.24, 0.26, 0.99, 1.0)] == ["a", "a", "b", "d", "d"]
    assert [steps.from_unit(u) for u in (0.0, 0.34, 0.67, 1.0)] == [0.1, 0.3, 0.5, 0.5]
    with pytest.raises(ValueError, match=r"coordinate 1\.5 of c lies outside \[0, 1\]"):
        choice.from_unit(1.5)


def test_a_log_range_is_even_in_its_logarithm() -> None:
    rate = Parameter("r", "float", low=1e-4, high=1e-2, log=True)
    count = Parameter("n", "int", low=1, high=1000, log=True)

    assert rate.from_unit(0.5) == pytest.approx(1e-3)
    assert (rate.from_unit(0.0), rate.from_unit(1.0)) == (pytest.approx(1e-4), 1e-2)
    assert count.from_unit(0.5) == round(math.sqrt(0.5 * 1000.5))
    assert (count.from_unit(0.0), count.from_unit(1.0)) == (1, 1000)


def test_a_parameter_that_does_not_exist_keeps_its_coordinate() -> None:
    space = parsed(WRITTEN)
    point = [0.5] * 5 + [0.1, 0.9]  # choices are sorted: 0.1 is cosine, 0.9 step

    assert "training.step_gamma" not in space.from_unit(point)
    assert space.from_unit([*point[:5], 0.9, 0.9])["training.step_gamma"] == 0.9
    with pytest.raises(ValueError, match="2 coordinates for 7 parameters"):
        space.from_unit([0.1, 0.2])


def test_distributions_are_those_that_optuna_would_build() -> None:
    space = parsed(WRITTEN)

    assert space["model.hidden_units"].distribution() == CategoricalDistribution((128, 256))
    assert space["training.lr"].distribution() == FloatDistribution(8e-4, 5e-3, log=True)
    assert space["training.step_gamma"].distribution() == FloatDistribution(0.1, 0.9, step=0.2)
    assert space["training.batch_size"].distribution() == IntDistribution(128, 512, step=128)
    assert space["training.step_gamma"].num_values == 5


def test_true_is_not_one_and_a_whole_float_is_no_int() -> None:
    count = Parameter("n", "int", low=0, high=4, step=2)
    flag = Parameter("f", "categorical", choices=(False, True))

    assert [count.contains(v) for v in (2, 3, 2.0, True, "2", None)] == [True, *[False] * 5]
    assert [flag.contains(v) for v in (True, 1, 0.0)] == [True, False, False]
    assert not Parameter("x", "float", high=1.0).contains(math.nan)


def test_given_values_are_checked_and_brought_into_their_types() -> None:
    space = parsed(WRITTEN)

    checked = space.checked({"model": {"dropout_rate": 0.2}, "training.batch_size": 128}, root="q")

    assert checked == {"model.dropout_rate": 0.2, "training.batch_size": 128}
    with pytest.raises(ConfigurationError) as caught:
        space.checked(
            {
                "model": {"hidden_unit": 128, "dropout_rate": 0.9},
                "training": {"step_gamma": 0.3, "scheduler": "cosine"},
            },
            root="tuning.queue[0]",
        )
    assert caught.value.faults == (
        "tuning.queue[0].model.hidden_unit=128 is not searched; did you mean 'model.hidden_units'?",
        "tuning.queue[0].model.dropout_rate=0.9 lies outside the space; give a number in "
        "[0.1, 0.3]",
        "tuning.queue[0].training.step_gamma=0.3 exists only when training.scheduler is 'step'; "
        "give that too, or leave it out",
    )


def test_a_space_contains_neither_more_nor_less_than_what_exists() -> None:
    space = parsed("m: {type: int, low: 1, high: 2}\nc: {type: int, low: 1, high: 2, when: {m: 2}}")

    assert space.contains({"m": 1})
    assert space.contains({"m": 2, "c": 1})
    assert not space.contains({"m": 2})
    assert not space.contains({"m": 1, "c": 1})
    assert [one.key for one in space.active({"m": 2})] == ["m", "c"]


# ---- parts ---------------------------------------------------------------------------------------

FAMILY = """
kind: {type: categorical, choices: [a, b], group: one}
child: {type: categorical, choices: [x, y], group: two, when: {kind: [a]}}
grandchild: {type: int, low: 1, high: 3, group: two, when: {child: [x]}}
"""


def test_groups_select_and_all_is_everything() -> None:
    space = parsed(FAMILY)

    assert space.groups == ("one", "two")
    assert space.of_groups(["one"]).keys == ("kind",)
    assert space.of_groups(["two"])["child"].when == {}
    assert space.of_groups(["all"]) == space


def test_settled_values_decide_over_what_is_left() -> None:
    space = parsed(FAMILY)

    assert space.given({"kind": "b"}).keys == ()
    left = space.given({"kind": "a"})
    assert left.keys == ("child", "grandchild")
    assert left["child"].when == {}
    assert left["grandchild"].when == {"child": ("x",)}


def test_without_a_parent_its_condition_falls_away() -> None:
    left = parsed(FAMILY).without(["child"])

    assert left.keys == ("grandchild", "kind")
    assert not left.is_conditional


def test_floors_warnings_and_groups_make_no_other_study() -> None:
    plain = "a: {type: float, low: 0, high: 1}"
    dressed = "a: {type: float, low: 0, high: 1, floor: 0.5, warn_below: 0.1, group: g}"

    assert parsed(plain).identity() == parsed(dressed).identity()
    assert parsed(plain).as_dict() != parsed(dressed).as_dict()


def test_an_unknown_key_is_told_with_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"lr2 is not searched; did you mean 'lr'\?"):
        parsed("lr: {type: float, low: 0, high: 1}")["lr2"]


def test_reading_spaces_and_budgets_does_not_import_optuna() -> None:
    program = (
        "import sys, seqtune.tuning.spaces.space, seqtune.tuning.budgets.plans, "
        "seqtune.tuning.objectives.pareto; "
        "sys.exit(any(name in sys.modules for name in ('optuna', 'numpy', 'torch')))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
