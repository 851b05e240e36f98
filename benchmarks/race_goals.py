"""What stopping trials by Pareto fronts is worth: hypervolume at equal cost, with two goals.

    python benchmarks/race_goals.py --tasks 6 --seeds 4

Tasks of LCBench to build on (`_surrogates.py`): accuracy up, and the size of the network
(max_units x num_layers, known before training) down. The engine's samplers and pruners propose and
stop; a stopped trial costs the epochs that it ran and is never on the front.

Hypervolume is that of the complete trials in a square: accuracy from that of the median random
configuration (0) to the best known (1), the logarithm of size from the largest to the smallest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from _harness import Report
from _race import scale_of
from _surrogates import DESIGN, LCBENCH_SPACE, Surrogate, lcbench
from seqtune.core.trials import Params
from seqtune.tuning.config import PrunerConfig, SamplerConfig, SamplerKind
from seqtune.tuning.sampling.pruners import Pruner
from seqtune.tuning.sampling.samplers import build_sampler
from seqtune.tuning.studies.records import GOALS

COSTS = (10.0, 20.0, 40.0)
METHODS: dict[str, tuple[SamplerKind, str]] = {
    "random": ("random", "none"),
    "tpe": ("tpe", "none"),
    "tpe, pareto pruner": ("tpe", "pareto"),
}


@dataclass
class Search:
    """One search for two goals."""

    surrogate: Surrogate
    sampler: SamplerKind
    pruner: Pruner
    seed: int
    trials: list[FrozenTrial] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)
    """Of the complete trials, in the square."""
    spent: int = 0

    def run(self, costs: Sequence[float]) -> list[float]:
        """Return the hypervolume at each cost."""
        volumes = []
        for cost in costs:
            while self.spent + self.surrogate.epochs <= cost * self.surrogate.epochs:
                self.try_one(self.propose())
            volumes.append(hypervolume(self.points))
        return volumes

    def propose(self) -> Params:
        directions = [StudyDirection.MAXIMIZE, StudyDirection.MAXIMIZE]
        study = optuna.create_study(directions=directions, pruner=optuna.pruners.NopPruner())
        study.add_trials(self.trials)
        number = len(self.trials)
        study.sampler = build_sampler(
            SamplerConfig(kind=self.sampler),
            seed=self.seed,
            rank=number,
            space=self.surrogate.space,
        )
        return self.surrogate.space.suggest(study.ask())

    def try_one(self, params: Params) -> None:
        small = smallness(params)
        goals, curve = {}, {}
        values = self.surrogate.curves([params])[0]
        for epoch, value in enumerate(values, start=1):
            best = float(values[:epoch].max())
            goals[str(epoch)], curve[epoch] = (best, small), float(value)
            if self.pruner.reason(curve, self.trials, root=0, goals=(best, small)):
                break
        self.spent += len(curve)
        is_complete = len(curve) == len(values)
        self.trials.append(
            create_trial(
                state=TrialState.COMPLETE if is_complete else TrialState.PRUNED,
                values=[max(curve.values()), small] if is_complete else None,
                params=dict(params),
                distributions=self.surrogate.space.distributions(),
                user_attrs={GOALS: goals},
            )
        )
        if is_complete:
            best, median = scale_of(self.surrogate)
            share = (self.surrogate.worth(params) - median) / (best - median)
            self.points.append((min(max(share, 0.0), 1.0), small))


def smallness(params: Params) -> float:
    """0 for the largest network, 1 for the smallest."""
    ends = [LCBENCH_SPACE[name] for name in ("max_units", "num_layers")]
    low, high = (math.prod(one[end] for one in ends) for end in ("low", "high"))
    size = float(str(params["max_units"])) * float(str(params["num_layers"]))
    return 1.0 - math.log(size / low) / math.log(high / low)


def hypervolume(points: Sequence[tuple[float, float]]) -> float:
    """Return the area of the square that these points dominate."""
    area, reached = 0.0, 0.0
    for x, y in sorted(points, reverse=True):
        area += x * max(0.0, y - reached)
        reached = max(reached, y)
    return area


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tasks", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = {method: race(method, DESIGN[: arguments.tasks], arguments.seeds) for method in METHODS}
    report = Report("race_goals", title="Stopping trials by Pareto fronts")
    report.text(
        f"Mean hypervolume of {arguments.tasks} tasks of LCBench, {arguments.seeds} seeds each; in "
        "brackets the difference to TPE without a pruner with its standard error over all pairs."
    )
    rows = []
    for method, volumes in found.items():
        gaps = volumes - found["tpe"]
        errors = gaps.std(axis=0, ddof=1) / math.sqrt(len(gaps))
        cells = zip(volumes.mean(axis=0), gaps.mean(axis=0), errors, strict=True)
        rows.append(
            [method, *(f"{mean:.3f} ({gap:+.3f} ± {error:.3f})" for mean, gap, error in cells)]
        )
    report.table(["method", *(f"cost {cost:g}" for cost in COSTS)], rows)
    report.write()


def race(method: str, tasks: Sequence[str], num_seeds: int) -> np.ndarray:
    sampler, kind = METHODS[method]
    volumes = []
    for task in tasks:
        surrogate = lcbench(task)
        pruner = Pruner(PrunerConfig(kind=kind), epochs=surrogate.epochs, mode="max")
        for seed in range(num_seeds):
            volumes.append(Search(surrogate, sampler, pruner, seed).run(COSTS))
            print(f"{method:20} {task} {seed} {volumes[-1]}", flush=True)
    return np.array(volumes)


if __name__ == "__main__":
    main()
