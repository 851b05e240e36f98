"""What a way of searching is worth: regret at equal cost, and cost at equal regret.

    python benchmarks/race_tuning.py design            # 17 tasks of LCBench to build on
    python benchmarks/race_tuning.py movielens         # fitted on our own measured curves
    python benchmarks/race_tuning.py confirmation      # 18 other tasks: once, at the very end

Surrogates are in `_surrogates.py`, methods in `_race.py`; they go through the engine's spaces,
samplers, pruners, importance and narrowing. The aim that the issue states: the quality of 40 full
TPE trainings at the cost of 15, that of 100 random ones at the cost of 20.

Regret is 0 for the best configuration known and 1 for the median random one, noise apart. A staged
search is planned for its budget, so each of its costs is a search of its own.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

import _surrogates
from _harness import Report
from _race import (
    MEDIAN,
    Method,
    Recipe,
    halving,
    plain,
    pruned_as_complete,
    scale_of,
    staged,
    value_at,
)
from _surrogates import Floats, Surrogate

COSTS = (10.0, 15.0, 20.0, 40.0)
RANDOM_COST = 100.0
TARGETS = (("40 full trainings by TPE", "tpe", 40.0), ("100 random ones", "random", RANDOM_COST))
BOOTSTRAPS = 4000


def recipe(**changes: Any) -> Method:
    return partial(staged, recipe=Recipe(**changes))


METHODS: Mapping[str, Method] = {
    "random": partial(plain, sampler="random"),
    "tpe": partial(plain, sampler="tpe"),
    "tpe, median pruner": partial(plain, sampler="tpe", pruning=MEDIAN),
    "gp": partial(plain, sampler="gp"),
    "gp, median pruner": partial(plain, sampler="gp", pruning=MEDIAN),
    "gp, median pruner, pruned ones shown": partial(
        plain, sampler="gp", pruning=MEDIAN, shown=pruned_as_complete
    ),
    "best of short ones": halving,
    "best of short ones, resumed": partial(halving, resume=True),
    "best of longer ones": partial(halving, epochs=0.4),
    "best of longer ones, resumed": partial(halving, epochs=0.4, resume=True),
    "guide": recipe(quick_sampler="tpe", policy="guide"),
    "guide, sobol first": recipe(policy="guide"),
    "safe, tpe after": recipe(),
    "safe, tpe after, resumed": recipe(resume=True),
    "safe, gp after": recipe(sampler="gp"),
    "safe, gp in both": recipe(quick_sampler="gp", sampler="gp", startup=3),
    "safe, gp in both, median pruner": recipe(
        quick_sampler="gp", sampler="gp", startup=3, quick_pruning=MEDIAN, pruning=MEDIAN
    ),
}
PLANNED = ("guide", "safe", "none", "best of")
"""Beginnings of the names of methods whose stages are planned for a budget."""


class Run(NamedTuple):
    surrogate: str
    method: str
    budget: float
    seed: int


def main() -> None:
    arguments = parse_arguments()
    names = surrogate_names(arguments.scene)[: arguments.tasks]
    methods = [name for name in METHODS if not arguments.methods or name in arguments.methods]
    began = time.monotonic()
    costs = tuple(arguments.costs)
    regrets = race(methods, names, range(arguments.seeds), costs, workers=arguments.workers)
    minutes = (time.monotonic() - began) / 60
    write(arguments.scene, regrets, names, arguments.seeds, minutes=minutes)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("scene", choices=["design", "movielens", "confirmation"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tasks", type=int, help="only so many surrogates")
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--costs", type=float, nargs="*", default=COSTS)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def surrogate_names(scene: str) -> list[str]:
    if scene == "movielens":
        return ["movielens forest", "movielens gp"]
    tasks = _surrogates.DESIGN if scene == "design" else _surrogates.confirmation_tasks()
    return [f"lcbench {task}" for task in tasks]


@cache
def surrogate_of(name: str) -> Surrogate:
    kind, what = name.split()
    made = _surrogates.lcbench if kind == "lcbench" else _surrogates.movielens
    return made(what)  # type: ignore[arg-type]  # of `surrogate_names`


# ---- racing ------------------------------------------------------------------------------------

Regrets = dict[tuple[str, float], Floats]
"""(method, cost) -> [surrogates, seeds]; on the way there, worths."""


def race(
    methods: Sequence[str],
    names: Sequence[str],
    seeds: Sequence[int],
    wanted: tuple[float, ...],
    *,
    workers: int,
) -> Regrets:
    warnings.filterwarnings("ignore")
    began = time.monotonic()
    found: Regrets = {}
    with ProcessPoolExecutor(workers) as pool:
        for method in methods:
            for budget, costs in budgets_of(method, wanted):
                runs = [Run(*one) for one in itertools.product(names, [method], [budget], seeds)]
                values = list(pool.map(partial(worths_of, costs), runs, chunksize=len(seeds)))
                shaped = np.array(values).reshape(len(names), len(seeds), len(costs))
                found |= {(method, cost): shaped[:, :, i] for i, cost in enumerate(costs)}
            print(f"{method:40} raced after {time.monotonic() - began:.0f} s", flush=True)
        scales = np.array(list(pool.map(scale_of_name, names)))  # [surrogates, (best, median)]
    return as_regrets(found, scales)


def as_regrets(worths: Regrets, scales: Floats) -> Regrets:
    """By the best that is known: found by a search of its own, or by any of the methods."""
    best = np.max([scales[:, 0], *(values.max(axis=1) for values in worths.values())], axis=0)
    span = best - scales[:, 1]
    return {key: (best[:, None] - values) / span[:, None] for key, values in worths.items()}


def budgets_of(method: str, wanted: tuple[float, ...]) -> list[tuple[float, tuple[float, ...]]]:
    """Searches to run, each with the costs that it tells about."""
    if method.startswith(PLANNED):
        return [(cost, (cost,)) for cost in wanted]
    target = tuple(cost for _, name, cost in TARGETS if name == method)
    costs = tuple(sorted({*wanted, *target}))
    return [(max(costs), costs)]


def worths_of(costs: Sequence[float], run: Run) -> list[float]:
    found = METHODS[run.method](surrogate_of(run.surrogate), run.budget, run.seed)
    return [value_at(found, cost) for cost in costs]


def scale_of_name(name: str) -> tuple[float, float]:
    return scale_of(surrogate_of(name))


# ---- the report --------------------------------------------------------------------------------


def write(
    scene: str, regrets: Regrets, names: Sequence[str], num_seeds: int, *, minutes: float
) -> None:
    report = Report(f"race_{scene}", title=f"Ways of searching, raced: {scene}")
    report.text(
        f"{len(names)} surrogates ({', '.join(names)}), {num_seeds} seeds each; it took "
        f"{minutes:.0f} minutes. {SAID_OF[scene]}"
    )
    if scene == "movielens":
        describe_fit(report)
    report.text("## Regret at a cost\n\nMean [lower quartile, median, upper quartile] of all runs.")
    methods = list(dict.fromkeys(method for method, _ in regrets))
    costs = sorted({cost for _, cost in regrets})
    report.table(
        ["method", *(f"cost {cost:g}" for cost in costs)],
        [[method, *(cell(regrets.get((method, cost))) for cost in costs)] for method in methods],
    )
    for title, method, cost in TARGETS:
        if (method, cost) in regrets:
            compare(report, title, regrets, method, cost)
    report.write()


SAID_OF = {
    "design": "LCBench through YAHPO's surrogate: smooth, and free of noise, which flatters GP.",
    "confirmation": "Tasks of LCBench that nothing was designed on; everything was frozen before.",
    "movielens": "A surrogate of real training, not real training: curves of BERT4Rec on "
    "MovieLens-100K that we measured, fitted by a forest and by Gaussian processes, with the "
    "noise between seeds as it was measured.",
}


def cell(values: Floats | None) -> str:
    if values is None:
        return ""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{values.mean():.3f} [{low:.3f}, {middle:.3f}, {high:.3f}]"


def compare(report: Report, title: str, regrets: Regrets, method: str, cost: float) -> None:
    """Every method and cost against a target, pair by pair."""
    target = regrets[method, cost]
    report.text(
        f"## Against {title} (mean regret {target.mean():.3f})\n\nDifference in mean regret (below "
        "0 is better) with the 95 % interval of a bootstrap over surrogates and seeds, and the "
        "least cost measured at which it is not above 0."
    )
    methods = list(dict.fromkeys(name for name, _ in regrets))
    rows = []
    costs = sorted({at for _, at in regrets if at <= max(COSTS)})
    for name in methods:
        known = {at: regrets[name, at] for at in costs if (name, at) in regrets}
        cells = [difference(known.get(at), target) for at in costs]
        reached = [at for at, values in known.items() if values.mean() <= target.mean()]
        rows.append([name, *cells, f"{min(reached):g}" if reached else f"> {max(known):g}"])
    report.table(["method", *(f"cost {at:g}" for at in costs), "reached at"], rows)


def difference(values: Floats | None, target: Floats) -> str:
    if values is None:
        return ""
    gaps = values - target
    generator = np.random.default_rng(0)
    means = [resampled(gaps, generator).mean() for _ in range(BOOTSTRAPS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{gaps.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def resampled(gaps: Floats, generator: np.random.Generator) -> Floats:
    """Surrogates with replacement where there are several of a kind, and seeds within them."""
    num, seeds = gaps.shape
    rows = generator.integers(num, size=(num,)) if num > 2 else np.arange(num)
    columns = generator.integers(seeds, size=(num, seeds))
    return gaps[rows[:, None], columns]


def describe_fit(report: Report) -> None:
    """What the surrogates rest on, and how well they foretell what they have not seen."""
    features, curves = _surrogates.measured()
    best = curves.max(axis=1)
    noise = [np.std(one.max(axis=1), ddof=1) for one in _surrogates.measured_noise()]
    report.text(
        f"Fitted on {len(features)} configurations; best epoch of a curve "
        f"{best.min():.4f} .. {np.median(best):.4f} .. {best.max():.4f} (least, median, most). "
        f"Standard deviation between seeds {np.median(noise):.4f} (median of {len(noise)} "
        f"configurations), between configurations {best.std(ddof=1):.4f}."
    )
    rows = []
    for model in ("forest", "gp"):
        told = _surrogates.cross_validated(model)
        best_known, median = scale_of_name(f"movielens {model}")
        rows.append([model, *(f"{value:.2f}" for value in told.values()), best_known, median])
    report.table(
        ["surrogate", "R2 (5-fold)", "rank correlation (5-fold)", "best known", "median random"],
        [[*row[:3], f"{row[3]:.4f}", f"{row[4]:.4f}"] for row in rows],
    )


if __name__ == "__main__":
    main()
