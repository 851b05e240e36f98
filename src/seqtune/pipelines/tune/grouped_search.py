"""Search groups of parameters one after another, and carry the best values forward."""

from __future__ import annotations

from collections.abc import Sequence

from seqtune.core.trials import Params, ranked
from seqtune.tuning.budgets.plans import StageBudget
from seqtune.tuning.objectives.pareto import pick
from seqtune.tuning.sampling.strategies import group_parts, part_plan
from seqtune.tuning.search.stage import StudyResult
from seqtune.tuning.spaces.space import Space

from .search import Search


def run_groups(
    search: Search, budget: StageBudget, space: Space, *, queue: Sequence[Params]
) -> list[StudyResult]:
    """Run one study per group; trials hold the parameters carried forward too."""
    whole = search.plan(budget, space, queue=queue)
    scoring, rule = whole.scoring, search.tuning.config.pick
    best: Params = {}
    results: list[StudyResult] = []
    for part in group_parts(whole):
        result = search.run(part_plan(whole, part, best), search.objective(budget))
        results.append(result)
        trials = [trial for done in results for trial in done.trials]
        if ranked(trials, mode=scoring.first.mode):
            best = {**best, **pick(trials, scoring=scoring, pick=rule).trial.params}
    return results
