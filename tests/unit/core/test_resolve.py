"""Layers become one configuration; every value knows its place and every fault is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from seqtune.core.config import RunConfig, Section
from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Layer, flatten, require_made_with, resolve, unflatten
from seqtune.tasks.recommend.params import RecommendConfig


class Shape(Section):
    width: Annotated[int, Field(ge=1, le=8)] = 4
    heads: int = 2
    mode: Literal["plain", "fancy"] = "plain"
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2)
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    label: Annotated[str, Field(min_length=1)] | None = "plain"

    @model_validator(mode="after")
    def _heads_divide(self) -> Shape:
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} does not divide width={self.width}")
        return self


class Toy(RunConfig):
    task: str = "toy"
    shape: Shape = Shape()


def faults(*layers: Layer) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        resolve(Toy, *layers, root="toy")
    return caught.value.faults


def in_file(values: dict[str, Any]) -> Layer:
    return Layer("conf", values, {key: "conf/local/toy.yml" for key, _ in flatten(values)})


def test_later_layers_win_and_leave_their_name() -> None:
    resolved = resolve(
        Toy,
        Layer("preset small", {"shape": {"width": 8, "heads": 4}}),
        in_file({"shape": {"heads": 1}, "seed": 7}),
        Layer("--params", {"seed": 9}),
        root="toy",
    )

    assert (resolved.config.shape.width, resolved.config.shape.heads) == (8, 1)
    assert resolved.config.seed == 9
    table = resolved.table()
    assert table["shape.width"] == {"value": 8, "origin": "preset small"}
    assert table["shape.heads"] == {"value": 1, "origin": "conf/local/toy.yml"}
    assert table["seed"] == {"value": 9, "origin": "--params"}
    assert table["shape.mode"] == {"value": "plain", "origin": "default"}


def test_table_names_every_value_there_is() -> None:
    resolved = resolve(Toy, root="toy")

    assert resolved.table().keys() == dict(flatten(Toy().model_dump())).keys()
    assert {entry["origin"] for entry in resolved.table().values()} == {"default"}


def test_null_leaves_the_decision_to_the_layer_below() -> None:
    resolved = resolve(
        Toy,
        Layer("preset small", {"shape": {"width": 8}}),
        in_file({"shape": {"width": None, "heads": None}}),
        root="toy",
    )

    assert resolved.table()["shape.width"] == {"value": 8, "origin": "preset small"}
    assert resolved.table()["shape.heads"] == {"value": 2, "origin": "default"}


def test_null_is_a_value_where_none_is_one() -> None:
    resolved = resolve(Toy, in_file({"shape": {"label": None}}), root="toy")

    assert resolved.table()["shape.label"] == {"value": None, "origin": "conf/local/toy.yml"}


def test_unknown_key_is_refused_even_if_it_is_null() -> None:
    (fault,) = faults(in_file({"shape": {"labl": None}}))

    assert fault.startswith("toy.shape.labl is not a parameter; did you mean 'label'?")


def test_unknown_key_is_refused_with_the_nearest_name_and_its_place() -> None:
    assert faults(in_file({"shape": {"widht": 3}})) == (
        "toy.shape.widht is not a parameter; did you mean 'width'? (set in conf/local/toy.yml)",
    )


def test_unknown_section_is_refused() -> None:
    (fault,) = faults(Layer("--params", {"shap": {"width": 3}}))

    assert fault.startswith("toy.shap.width is not a parameter; did you mean 'shape'?")


def test_key_below_a_single_value_is_refused() -> None:
    assert faults(Layer("--params", {"seed": {"first": 1}})) == (
        "toy.seed.first is not a parameter; its parent takes a single value (set in --params)",
    )


def test_single_value_in_place_of_a_section_is_refused() -> None:
    (fault,) = faults(Layer("--params", {"shape": 3}))

    assert fault.startswith("toy.shape=3: ")


def test_value_out_of_range_names_key_value_bound_and_place() -> None:
    assert faults(in_file({"shape": {"width": 9}})) == (
        "toy.shape.width=9: Input should be less than or equal to 8 (set in conf/local/toy.yml)",
    )


def test_wrong_choice_names_the_choices() -> None:
    assert faults(Layer("--params", {"shape": {"mode": "fency"}})) == (
        "toy.shape.mode='fency': Input should be 'plain' or 'fancy' (set in --params)",
    )


def test_rule_over_several_fields_speaks_for_itself() -> None:
    assert faults(Layer("--params", {"shape": {"heads": 3}})) == (
        "heads=3 does not divide width=4 (toy.shape)",
    )


def test_element_of_a_list_is_told_by_its_key() -> None:
    (fault,) = faults(Layer("--params", {"shape": {"sizes": [1, 0]}}))

    assert fault.startswith("toy.shape.sizes=0: ")


def test_branches_of_a_union_are_not_part_of_the_key() -> None:
    for fault in faults(Layer("--params", {"shape": {"devices": 0}})):
        assert fault.startswith("toy.shape.devices=0: ")


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        in_file({"shape": {"widht": 3, "width": 0}, "seed": -1}),
        Layer("--params", {"sed": 1}),
    )

    assert [fault.split(" ")[0].split("=")[0] for fault in found] == [
        "toy.shape.widht",
        "toy.sed",
        "toy.seed",
        "toy.shape.width",
    ]


def test_settled_value_is_checked_and_remembers_why() -> None:
    resolved = resolve(Toy, Layer("--params", {"seed": 9}), root="toy")
    settled = resolved.replace("shape.width", 8, origin="auto: fits the hardware")

    assert settled.table()["shape.width"] == {"value": 8, "origin": "auto: fits the hardware"}
    assert settled.table()["seed"] == {"value": 9, "origin": "--params"}
    assert resolved.config.shape.width == 4
    with pytest.raises(ValueError, match="less than or equal to 8"):
        resolved.replace("shape.width", 99, origin="auto")


NAMES = st.sampled_from(["a", "b", "c"])
NESTED = st.recursive(
    st.dictionaries(NAMES, st.integers(), min_size=1),
    lambda inner: st.dictionaries(NAMES, st.one_of(st.integers(), inner), min_size=1),
    max_leaves=8,
)


@given(NESTED)
def test_flattening_loses_nothing(values: dict[str, Any]) -> None:
    assert unflatten(dict(flatten(values))) == values


def test_a_parameter_that_comes_too_late_is_refused_with_its_stage() -> None:
    config = RecommendConfig()
    made_with = {"split": {**config.split.model_dump(mode="json"), "test_items": 0}}
    with pytest.raises(
        ConfigurationError, match=r"recommend\.split\.test_items=1.*--pipelines split"
    ):
        require_made_with(config, made_with, what="data/split")
    require_made_with(config, {"split": config.split.model_dump(mode="json")}, what="data/split")


def test_a_value_that_is_given_keys_as_well_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"lr\.type\.x: type is a value, and no group"):
        unflatten({"lr.type": "float", "lr.type.x": 1})
