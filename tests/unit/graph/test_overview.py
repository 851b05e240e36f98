"""What Kedro-Viz tells its page, rearranged: a small graph by hand."""

from __future__ import annotations

from typing import Any

import pytest

from seqtune.graph.overview import ROOT, tidied


def node(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "type": kind, "layer": None, "modular_pipelines": None, **more}


def box(children: dict[str, str], **ends: list[str]) -> dict[str, Any]:
    parts = [{"id": name, "type": kind} for name, kind in children.items()]
    return {"children": parts, "inputs": [], "outputs": [], **ends}


@pytest.fixture
def graph() -> dict[str, Any]:
    """raw -> toy [split [cut] -> arrays -> tune [search, draw] -> figure, best, picks]; scratch."""
    ends = {"raw": "data", "scratch": "data", "figure": "data", "best": "data", "picks": "data"}
    nodes = [
        node("raw", "data"),
        node("scratch", "data", dataset_type="datasets.scratch.Scratch"),
        node("cut", "task", modular_pipelines=["toy.split"]),
        node("arrays", "data", modular_pipelines=["toy.split", "toy.tune"]),
        node("search", "task", modular_pipelines=["toy.tune"]),
        node("trials", "data", modular_pipelines=["toy.tune"]),
        node("draw", "task", modular_pipelines=["toy.tune"]),
        node("figure", "data", layer="tuning", modular_pipelines=["toy", "toy.tune"]),
        node("best", "data", layer="tuning", modular_pipelines=["toy", "toy.tune"]),
        node("picks", "data", layer="model output", modular_pipelines=["toy", "toy.tune"]),
        *(node(name, "modularPipeline") for name in ("toy", "toy.split", "toy.tune")),
    ]
    edges = [
        *("raw cut", "scratch cut", "cut arrays", "arrays search", "search trials", "search best"),
        *("search picks", "trials draw", "draw figure"),
        *("raw toy", "toy figure", "toy picks", "toy.tune figure", "toy.tune picks"),
        *("raw toy.split", "toy.split arrays", "arrays toy.tune", "toy.tune best", "toy best"),
    ]
    return {
        "nodes": nodes,
        "edges": [dict(zip(("source", "target"), edge.split(), strict=True)) for edge in edges],
        "modular_pipelines": {
            ROOT: box({"toy": "modularPipeline", **ends}),
            "toy": box(
                {"toy.split": "modularPipeline", "toy.tune": "modularPipeline", "arrays": "data"},
                outputs=["figure", "best", "picks"],
            ),
            "toy.split": box({"cut": "task"}, outputs=["arrays"]),
            "toy.tune": box(
                {"search": "task", "draw": "task", "trials": "data"},
                outputs=["figure", "best", "picks"],
            ),
        },
        "pipelines": [{"id": name} for name in ("__default__", "toy.tune", "tune", "other.tune")],
        "selected_pipeline": "__default__",
    }


def inside(graph: dict[str, Any], name: str) -> dict[str, str]:
    return {child["id"]: child["type"] for child in graph["modular_pipelines"][name]["children"]}


def test_stages_are_what_is_seen_first(graph: dict[str, Any]) -> None:
    tidy = tidied(graph, default_task="toy")

    seen = inside(tidy, ROOT)
    assert [name for name, kind in seen.items() if kind == "modularPipeline"] == [
        "toy.split",
        "toy.tune",
    ]
    assert "toy" not in {node["id"] for node in tidy["nodes"]}
    assert not [edge for edge in tidy["edges"] if "toy" in edge.values()]


def test_what_no_stage_reads_is_inside_the_stage_that_made_it(graph: dict[str, Any]) -> None:
    tidy = tidied(graph, default_task="toy")

    assert {"figure", "best"}.isdisjoint(inside(tidy, ROOT))
    assert inside(tidy, "toy.tune").keys() == {"search", "draw", "trials", "figure", "best"}
    assert tidy["modular_pipelines"]["toy.tune"]["outputs"] == ["picks"]
    edges = {(edge["source"], edge["target"]) for edge in tidy["edges"]}
    assert ("draw", "figure") in edges
    assert ("toy.tune", "figure") not in edges


def test_results_and_what_stages_hand_on_stay_in_sight(graph: dict[str, Any]) -> None:
    assert inside(tidied(graph, default_task="toy"), ROOT).keys() >= {"raw", "arrays", "picks"}


def test_places_are_shown_with_the_parameters(graph: dict[str, Any]) -> None:
    tidy = tidied(graph, default_task="toy")

    assert inside(tidy, ROOT)["scratch"] == "parameters"
    assert next(one for one in tidy["nodes"] if one["id"] == "scratch")["type"] == "parameters"


def test_pipeline_is_listed_under_one_of_its_two_names(graph: dict[str, Any]) -> None:
    names = ["__default__", "toy", "toy.tune", "tune", "other", "other.tune", "other.sample"]
    graph["pipelines"] = [{"id": name} for name in names]

    listed = [one["id"] for one in tidied(graph, default_task="toy")["pipelines"]]

    assert listed == ["__default__", "toy", "tune", "other", "other.tune", "other.sample"]
