"""Nodes of the search: a task joined to the tuning engine, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.task import Report, TaskSpec

from .._scratch import scratch_folder

if TYPE_CHECKING:
    import pandas as pd

    from seqtune.core.config import ClusterConfig
    from seqtune.core.parameters import TaskParameters
    from seqtune.tuning.parameters import TuningParameters

    from .search import Search


@dataclass(frozen=True)
class TuneNodes:
    task: TaskSpec

    def prepare(
        self,
        parameters: TaskParameters,
        tuning: TuningParameters,
        split: Path,
        storage: str,
        scratch: Path,
        cluster: ClusterConfig,
        verified: Report,
    ) -> Search:
        """Collect what every stage of the search needs, once verify_env has passed."""
        from .._resolution import warn_of_other_data
        from .search import Search

        warn_of_other_data(verified, self.task.open_data(split), task=self.task.name)
        return Search(self.task, parameters, tuning, split, storage, scratch, cluster)

    def test(self, search: Search) -> tuple[pd.DataFrame, Report]:
        """Run two short trials: check the chain and the effect of each key, time an epoch."""
        from .run_stage import run_test

        return run_test(search)

    def quick(self, search: Search, tests: pd.DataFrame) -> tuple[pd.DataFrame, Path, Report]:
        """Search widely with short trainings: which regions are promising?"""
        from .run_stage import run_quick

        with scratch_folder(search.scratch, "quick") as out:
            return run_quick(search, tests, out=out / "quick_study.db")

    def medium(
        self, search: Search, tests: pd.DataFrame, narrowed: dict[str, Any]
    ) -> tuple[pd.DataFrame, Path, Report]:
        """Search the narrowed space with long trainings."""
        from .run_stage import run_medium

        with scratch_folder(search.scratch, "medium") as out:
            return run_medium(search, tests, narrowed, out=out / "medium_study.db")

    def rerank(
        self, search: Search, tests: pd.DataFrame, quick: pd.DataFrame, medium: pd.DataFrame
    ) -> Report:
        """Train the best few again with the same fresh seeds: which one is not just lucky?"""
        from .run_stage import run_rerank

        return run_rerank(search, tests=tests, quick=quick, medium=medium)

    def choose(
        self,
        search: Search,
        tests: pd.DataFrame,
        quick: pd.DataFrame,
        medium: pd.DataFrame,
        reranked: Report,
        quick_analysis: Report,
        medium_analysis: Report,
    ) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], Report]:
        """Choose the configuration to train, the robust one, and the best ten."""
        from .run_stage import choose_best

        analyses = {"quick": quick_analysis, "medium": medium_analysis}
        return choose_best(
            search, tests=tests, quick=quick, medium=medium, reranked=reranked, analyses=analyses
        )

    def seed(
        self, search: Search, tests: pd.DataFrame, best: dict[str, Any]
    ) -> tuple[pd.DataFrame, Report]:
        """Train the best configuration with many seeds, if asked to: how much is luck?"""
        from .run_stage import run_seed

        return run_seed(search, best, tests)

    def analyse_quick(
        self,
        parameters: TaskParameters,
        tuning: TuningParameters,
        trials: pd.DataFrame,
        report: Report,
    ) -> Report:
        """Analyse the quick stage over its whole space."""
        from .analysis import analyse_stage

        return analyse_stage(parameters, tuning, tuning.spaces["quick"], trials, report, top=5)

    def analyse_medium(
        self,
        parameters: TaskParameters,
        tuning: TuningParameters,
        trials: pd.DataFrame,
        report: Report,
        narrowed: dict[str, Any],
    ) -> Report:
        """Analyse the medium stage over the narrowed space."""
        from .analysis import analyse_stage, narrowed_space

        space, _queue = narrowed_space(parameters, narrowed)
        return analyse_stage(parameters, tuning, space, trials, report, top=10)

    def narrow(
        self,
        parameters: TaskParameters,
        tuning: TuningParameters,
        trials: pd.DataFrame,
        report: Report,
    ) -> tuple[dict[str, Any], Report, Any]:
        """Narrow the space for the medium stage, with a reason for every decision."""
        from .analysis import narrow_space

        return narrow_space(parameters, tuning, trials, report)

    def draw_quick(
        self, tuning: TuningParameters, trials: pd.DataFrame, analysis: Report
    ) -> tuple[Any, ...]:
        """Draw the figures of the quick stage."""
        from .analysis import draw_stage

        return draw_stage(tuning, trials, analysis, stage="quick")

    def draw_medium(
        self, tuning: TuningParameters, trials: pd.DataFrame, analysis: Report
    ) -> tuple[Any, ...]:
        """Draw the figures of the medium stage."""
        from .analysis import draw_stage

        return draw_stage(tuning, trials, analysis, stage="medium")

    def draw_rerank(
        self, parameters: TaskParameters, tuning: TuningParameters, reranked: Report
    ) -> Any:
        """Draw scores with one seed beside means over fresh seeds."""
        from seqtune.reporting import figures

        from .search import scoring_of

        rows, reason = reranked.get("rows") or [], reranked.get("reason", "")
        metric = scoring_of(parameters, tuning).first.metric
        return figures.rerank(rows, metric=metric, reason=reason)
