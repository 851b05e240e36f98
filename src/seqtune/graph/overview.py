"""What Kedro-Viz tells its page of a pipeline, rearranged so that it opens at the method.

Kedro-Viz by itself opens at one box, the task, with everything that nobody reads (figures, reports)
around it. Here stages are the boxes, and what only people read is inside the stage that made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROOT = "__root__"
BOX, TASK, DATA, PARAMETERS = "modularPipeline", "task", "data", "parameters"
RESULTS = {"model output"}
"""Layers of what is made for its own sake: shown in the overview although no stage reads it."""
PLUMBING = (".Scratch", ".Store")
"""Classes of datasets that are places and not data: shown with the parameters, on demand."""

Graph = dict[str, Any]
Box = dict[str, Any]


def tidied(graph: Graph, *, default_task: str) -> Graph:
    """What Kedro-Viz says of a pipeline, rearranged; the graph itself stays as it is.

    Pipelines whose names have no prefix are those of `default_task`.
    """
    _lift(graph)
    _hide_plumbing(graph)
    _put_inside(graph)
    _name_once(graph, default_task)
    return graph


def _lift(graph: Graph) -> None:
    """Take away a box that holds everything: the task is the name of the page already."""
    tree = graph["modular_pipelines"]
    while len(boxes := _boxes_in(tree[ROOT])) == 1 and not _tasks_in(tree[ROOT]):
        (only,) = boxes
        inside = tree.pop(only)["children"]
        tree[ROOT]["children"] = _united(tree[ROOT]["children"], inside, without=only)
        graph["nodes"] = [node for node in graph["nodes"] if node["id"] != only]
        graph["edges"] = [edge for edge in graph["edges"] if only not in edge.values()]
        for node in graph["nodes"]:
            homes = [home for home in node["modular_pipelines"] or () if home != only]
            node["modular_pipelines"] = homes or None


def _hide_plumbing(graph: Graph) -> None:
    ids = {
        node["id"]
        for node in graph["nodes"]
        if str(node.get("dataset_type") or "").endswith(PLUMBING)
    }
    children = [child for box in graph["modular_pipelines"].values() for child in box["children"]]
    for part in (*graph["nodes"], *children):
        if part["id"] in ids:
            part["type"] = PARAMETERS


def _put_inside(graph: Graph) -> None:
    """Move what no stage reads into the innermost box of the node that made it."""
    tree: Mapping[str, Box] = graph["modular_pipelines"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    tasks = {name for name, node in nodes.items() if node["type"] == TASK}
    home_of = {child: name for name, box in tree.items() for child in _tasks_in(box)}
    made_by = {edge["target"]: edge["source"] for edge in graph["edges"] if edge["source"] in tasks}
    read = {edge["source"] for edge in graph["edges"] if edge["target"] in tasks}
    moved = {
        name: home_of[maker]
        for name, maker in made_by.items()
        if name not in read and nodes[name]["layer"] not in RESULTS
    }
    for box in tree.values():
        box["children"] = [child for child in box["children"] if child["id"] not in moved]
        box["outputs"] = [name for name in box["outputs"] if name not in moved]
    for name, home in moved.items():
        tree[home]["children"].append({"id": name, "type": DATA})
        nodes[name]["modular_pipelines"] = None if home == ROOT else [home]
    graph["edges"] = [
        edge for edge in graph["edges"] if edge["target"] not in moved or edge["source"] in tasks
    ]


def _name_once(graph: Graph, default_task: str) -> None:
    """Leave out of the list of pipelines those that another name stands for."""
    names = {pipeline["id"] for pipeline in graph["pipelines"]}
    twice = {name for name in names if name.removeprefix(f"{default_task}.") in names - {name}}
    kept = names - twice
    kept.add(graph["selected_pipeline"])
    graph["pipelines"] = [one for one in graph["pipelines"] if one["id"] in kept]


def _boxes_in(box: Box) -> list[str]:
    return [child["id"] for child in box["children"] if child["type"] == BOX]


def _tasks_in(box: Box) -> list[str]:
    return [child["id"] for child in box["children"] if child["type"] == TASK]


def _united(
    first: list[dict[str, str]], second: list[dict[str, str]], *, without: str
) -> list[dict[str, str]]:
    known = {child["id"]: child for child in (*first, *second)}
    return [child for name, child in known.items() if name != without]
