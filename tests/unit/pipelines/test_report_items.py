"""Figures and tables of a task: drawn where there is something, told where there is not."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from seqtune.core.metrics import EXHIBITS, Curve, LineChart, ReportTable, dump_report_items
from seqtune.pipeline_registry import TASKS, register_pipelines
from seqtune.pipelines._report_items import MISSING, ExhibitNodes, exhibit_nodes

TASK = replace(TASKS[0], figures=("curve",), tables=("words",))
REPORT = {
    EXHIBITS: dump_report_items(
        {
            "curve": LineChart(
                title="a curve", x="t", y="f", lines=(Curve(name="one", x=(0, 1), y=(2, 3)),)
            ),
            "words": ReportTable(title="words", columns=("a", "b"), rows=((1, "x"), (2, "y"))),
        }
    )
}


def test_what_the_metrics_bring_along_is_drawn() -> None:
    figure, table = ExhibitNodes(TASK).draw(REPORT)
    assert "a curve" in figure.layout.title.text
    assert list(figure.data[0].y) == [2, 3]
    assert table.to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}


def test_what_is_not_there_is_said(tmp_path: object) -> None:
    for report in (None, {}, {EXHIBITS: {}}):
        figure, table = ExhibitNodes(TASK).draw(report)
        assert MISSING.split(":")[0] in figure.to_json()
        assert isinstance(table, pd.DataFrame)
        assert table["missing"].tolist() == [MISSING]


def test_a_node_makes_what_the_task_names_and_there_is_none_without() -> None:
    (node,) = exhibit_nodes(TASK, "metrics", name="draw", prefix="ensemble_")
    assert node.outputs == ["ensemble_curve_figure", "ensemble_words_table"]
    assert exhibit_nodes(replace(TASK, figures=(), tables=()), "metrics", name="draw") == []


def test_tasks_on_text_draw_after_training_and_once_more_for_the_ensemble() -> None:
    made = register_pipelines()["classify"].outputs()
    assert {"classify.confusion_figure", "classify.ensemble_confusion_figure"} <= made
    assert {"classify.classes_table", "classify.ensemble_classes_table"} <= made
    assert not any("confusion" in name for name in register_pipelines()["recommend"].outputs())
