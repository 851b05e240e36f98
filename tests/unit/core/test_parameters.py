"""What the user typed: presets, files and the command line, checked before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from seqtune.core.auto_preset import explain
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer, flatten
from seqtune.tasks.classify import params as classify
from seqtune.tasks.recommend.params import parse

FILE = "conf/local/parameters_recommend.yml"
PRESETS = {
    "small": {"model": {"hidden_units": 32, "num_heads": 2}},
    "medium": {"model": {"hidden_units": 64, "num_heads": 4}},
    "large": {"model": {"hidden_units": 128, "num_heads": 8}},
}


def read(values: dict[str, Any], *, runtime: dict[str, Any] | None = None) -> TaskParameters:
    """As the hook calls it: `values` are merged already, the command line included."""
    values = {"presets": PRESETS, **values}
    origins = {key: FILE for key, _ in flatten(values)}
    return parse(values=values, runtime=runtime or {}, origins=origins)


def faults(values: dict[str, Any], *, runtime: dict[str, Any] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(values, runtime=runtime)
    return caught.value.faults


def test_named_preset_is_taken() -> None:
    table = read({"preset": "medium"}).resolve().table()

    assert table["model.hidden_units"] == {"value": 64, "origin": "preset medium"}
    assert table["model.num_layers"] == {"value": 3, "origin": "default"}


def test_file_wins_over_preset_and_command_line_over_file() -> None:
    typed = {"model": {"num_heads": 16}}
    table = (
        read(
            {"preset": "medium", "model": {"hidden_units": 96, "num_heads": 16}},
            runtime=typed,
        )
        .resolve()
        .table()
    )

    assert table["model.hidden_units"] == {"value": 96, "origin": FILE}
    assert table["model.num_heads"] == {"value": 16, "origin": "--params"}


def test_best_configuration_stands_between_files_and_command_line() -> None:
    parameters = read(
        {"preset": "none", "training": {"lr": 0.1, "epochs": 3}},
        runtime={"training": {"epochs": 3}},
    )
    best = Layer("best config", {"training": {"lr": 0.01, "epochs": 50}})

    table = parameters.resolve("none", best=best).table()

    assert table["training.lr"] == {"value": 0.01, "origin": "best config"}
    assert table["training.epochs"] == {"value": 3, "origin": "--params"}


def test_preset_none_leaves_the_defaults_of_the_classes() -> None:
    assert {row["origin"] for row in read({"preset": "none"}).resolve().table().values()} == {
        "default",
        "task",
    }


def test_unknown_preset_is_refused() -> None:
    assert faults({"preset": "smal"}) == (
        "recommend.preset='smal' is not a preset; did you mean 'small'?",
    )


AUTO = [
    {"because": "it is quick", "model": {"hidden_units": 32, "num_layers": 2}},
    {
        "because": "many users teach more",
        "when": {"users": {"at_least": 1000}, "mean_length": {"below": 50.5}},
        "model": {"hidden_units": 64},
    },
    {
        "because": "there is little to learn",
        "when": {"users": {"below": 10}},
        "model": {"num_layers": 1},
    },
]


def facts(users: int, mean_length: float) -> dict[str, float]:
    return {"users": users, "items": 5, "interactions": 99, "mean_length": mean_length}


@pytest.mark.parametrize(
    ("users", "mean_length", "hidden_units", "num_layers"),
    [(9, 20, 32, 1), (10, 20, 32, 2), (999, 20, 32, 2), (1000, 20, 64, 2), (1000, 50.5, 32, 2)],
)
def test_auto_goes_by_the_rules_that_hold(
    users: int, mean_length: float, hidden_units: int, num_layers: int
) -> None:
    parameters = read({"preset": "auto", "auto": AUTO})
    config = parameters.resolve(facts(users, mean_length)).config
    assert (config.model.hidden_units, config.model.num_layers) == (hidden_units, num_layers)


def test_auto_says_why() -> None:
    resolved = read({"preset": "auto", "auto": AUTO}).resolve(facts(1000, 20))
    table = resolved.table()
    assert table["model.hidden_units"]["origin"] == "preset auto, because many users teach more"
    assert table["model.num_layers"]["origin"] == "preset auto, because it is quick"
    assert list(explain(resolved)) == [
        "preset auto, because many users teach more: model.hidden_units=64",
        "preset auto, because it is quick: model.num_layers=2",
    ]


def test_while_the_data_are_unknown_auto_is_a_choice_that_fits_what_was_typed() -> None:
    parameters = read({"preset": "auto", "auto": AUTO[:2], "model": {"num_heads": 64}})
    assert parameters.resolve().config.model.hidden_units == 64


def test_auto_tells_the_fault_where_no_choice_fits() -> None:
    (fault,) = faults({"preset": "auto", "auto": AUTO, "model": {"num_heads": 3}})
    assert fault.startswith("num_heads=3 does not divide hidden_units=64; choose one of 1, 2, 4")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"model": {}}, "is not a list of rules"),
        ([3], "rule 1: 3 is not a group of values"),
        ([{"model": {}}], "rule 1: `because` is missing"),
        ([{"because": "x", "when": 3}], "rule 1: when=3 is not a group"),
        (
            [AUTO[0], {"because": "x", "when": {"user": {"below": 3}}}],
            "rule 2: 'user' is not known",
        ),
        ([{"because": "x", "when": {"users": 3}}], "when.users=3 is no condition"),
        ([{"because": "x", "when": {"users": {"bellow": 3}}}], "did you mean 'below'?"),
        ([{"because": "x", "when": {"users": {"below": "3"}}}], "below='3' is not a number"),
        ([{"because": "x", "model": {"hiden_units": 3}}], "set in preset auto, because x"),
    ],
)
def test_a_faulty_rule_is_named(rules: Any, said: str) -> None:
    (fault,) = faults({"preset": "auto", "auto": rules})
    assert said in fault


def test_unknown_key_from_a_file_names_the_file() -> None:
    assert faults({"model": {"num_head": 4}}) == (
        f"recommend.model.num_head is not a parameter; did you mean 'num_heads'? (set in {FILE})",
    )


def test_unknown_key_from_the_command_line_says_so() -> None:
    typed = {"training": {"learning_rate": 0.1}}
    (fault,) = faults(typed, runtime=typed)

    assert fault.startswith("recommend.training.learning_rate is not a parameter; ")
    assert fault.endswith("(set in --params)")


def test_unknown_key_of_a_preset_names_the_preset() -> None:
    mine = {"mine": {"model": {"hiden_units": 8}}}

    assert faults({"preset": "mine", "presets": mine}) == (
        "recommend.model.hiden_units is not a parameter; did you mean 'hidden_units'? "
        "(set in preset mine)",
    )


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (5, "recommend=5"),
        ({"presets": "small"}, "recommend.presets='small'"),
        ({"presets": {"mine": None}}, "recommend.presets.mine=None"),
    ],
)
def test_single_value_in_place_of_a_group_is_refused(values: Any, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(values=values, runtime={}, origins={})

    assert str(caught.value).startswith(f"{key} is not a group of parameters; ")


def test_prediction_is_checked_beside_the_rest_and_all_faults_are_told() -> None:
    found = faults(
        {
            "predict": {"top_k": 0, "topk": 3},
            "model": {"num_heads": 0, "dropout": 0.1},
            "trainng": {"lr": 1},
        }
    )

    assert [fault.split("=")[0].split(" is not")[0] for fault in found] == [
        "recommend.predict.topk",
        "recommend.predict.top_k",
        "recommend.model.dropout",
        "recommend.trainng.lr",
        "recommend.model.num_heads",
    ]


def test_prediction_takes_its_defaults_and_what_was_typed() -> None:
    typed = {"predict": {"top_k": 3}}
    settings = read({"predict": {"top_k": 3, "weights": None}}, runtime=typed).predict

    assert settings.model_dump() == {
        "top_k": 3,
        "exclude_seen": True,
        "quotas": {},
        "diversity": 0.0,
        "candidates": 100,
        "model": "auto",
        "weights": "best",
        "batch_size": 512,
        "escape_formulas": False,
    }


def test_task_is_not_a_parameter_that_one_may_change() -> None:
    assert read({}).resolve().config.task == "recommend"


def test_no_values_at_all_give_the_defaults() -> None:
    parameters = parse(values={}, runtime={}, origins={})

    assert parameters.preset == "none"
    assert parameters.resolve().config.training.epochs == 100


def test_a_task_without_presets_by_size_knows_no_auto() -> None:
    with pytest.raises(ConfigurationError, match=r"classify\.preset='auto' is not a preset"):
        classify.parse(values={"preset": "auto"}, runtime={}, origins={})
    assert classify.parse(values={}, runtime={}, origins={}).preset == "none"


def test_a_dry_run_is_asked_for_on_the_command_line_alone() -> None:
    read({"dry_run": True}, runtime={"dry_run": True})
    read({"dry_run": None})
    (fault,) = faults({"dry_run": True})
    assert fault.startswith("recommend.dry_run belongs on the command line (--params ")
    assert FILE in fault
    (fault,) = faults({"dry_run": "yes"}, runtime={"dry_run": "yes"})
    assert fault == "recommend.dry_run='yes' is neither true nor false (set in --params)"
