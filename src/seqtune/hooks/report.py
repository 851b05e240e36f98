"""A run that made something of a task ends with a page about it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from seqtune.contracts.resolve import flatten, validated
from seqtune.pipeline_registry import TASKS
from seqtune.run_report import Failure, ReportConfig, RunRecord, write_report
from seqtune.run_report.record import NodeTime

logger = logging.getLogger(__name__)

GROUP = "report"


class ReportHooks:
    """Times the nodes, and writes the report when the run ends, well or not.

    pluggy calls the hooks that were registered last first: this one stands after the summary in
    `settings.HOOKS`, so that the page is there when the summary names it.
    """

    def __init__(self) -> None:
        self._version = ""
        self._is_enabled = True
        self._start()

    def _start(self) -> None:
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        self._began: dict[str, float] = {}
        self._nodes: list[NodeTime] = []
        self._loaded: set[str] = set()
        self._saved: set[str] = set()
        self._failed = ""

    @hook_impl
    def after_catalog_created(self, save_version: str) -> None:
        self._version = save_version

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        values: Mapping[str, Any] = catalog["parameters"].load().get(GROUP) or {}
        self._is_enabled = validated(ReportConfig, dict(flatten(values)), {}, root=GROUP).enabled
        self._start()

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self._began[node.name] = time.monotonic()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        began = self._began.get(node.name, self._clock)
        self._nodes.append(NodeTime(node.name, time.monotonic() - began))

    @hook_impl
    def on_node_error(self, node: Node) -> None:
        self._failed = node.name

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        self._loaded.add(dataset_name)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        self._saved.add(dataset_name)

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        self._write(run_params, pipeline, catalog)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        if self._saved:
            failure = Failure(type(error).__name__, str(error), self._failed)
            self._write(run_params, pipeline, catalog, failure)

    def _write(
        self,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: DataCatalog,
        failure: Failure | None = None,
    ) -> None:
        names = [node.name for node in pipeline.nodes]
        for task in TASKS:
            if self._is_enabled and any(_is_of(task.name, name) for name in names):
                _write_or_warn(task.name, catalog, self._record(run_params, failure))

    def _record(self, run_params: dict[str, Any], failure: Failure | None) -> RunRecord:
        return RunRecord(
            version=self._version,
            started=self._started,
            seconds=time.monotonic() - self._clock,
            params=run_params,
            nodes=tuple(self._nodes),
            loaded=frozenset(self._loaded),
            saved=frozenset(self._saved),
            failure=failure,
        )


def _is_of(task: str, node: str) -> bool:
    """Whether a node works on a task's data; generating a sample is nothing to report on."""
    return node.startswith(f"{task}.") and not node.startswith(f"{task}.sample")


def _write_or_warn(task: str, catalog: DataCatalog, run: RunRecord) -> None:
    try:
        page = write_report(task, catalog, run)
    except Exception as error:  # a report is never worth a run
        logger.warning(
            "the report of %s could not be written (%s: %s); the run itself is not affected",
            task,
            type(error).__name__,
            error,
        )
        logger.debug("the error in full", exc_info=error)
    else:
        logger.debug("report: %s", page)
