"""What stopping trials by Pareto fronts is worth: hypervolume at equal cost, with two goals.

    python benchmarks/race_goals.py design          # tasks of LCBench: smooth, no noise
    python benchmarks/race_goals.py confirmation    # other tasks of LCBench
    python benchmarks/race_goals.py movielens       # with the noise that was measured

Surrogates are those of `race_tuning.py`: the quality of a curve up, and the size of the network
(the product of a few values, known before training) down. The engine's samplers and pruners propose
and stop; a stopped trial costs the epochs that it ran and is never on the front.

Hypervolume is that of what the complete trials are really worth, in a square: quality from that of
the median random configuration (0) to the best known (1), the logarithm of size from the largest to
the smallest.
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
from _surrogates import Floats, Surrogate
from race_tuning import surrogate_names, surrogate_of
from seqtune.core.trials import Params
from seqtune.tuning.config import PrunerConfig, SamplerConfig, SamplerKind
from seqtune.tuning.sampling.pruners import Pruner
from seqtune.tuning.sampling.samplers import build_sampler
from seqtune.tuning.studies.records import GOALS

COSTS = (10.0, 20.0, 40.0)
SIZES = (
    *("max_units", "num_layers"),
    *("model.hidden_units", "model.num_layers", "model.max_len"),
)
"""Parameters of a surrogate whose product is the size."""
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
    generator: np.random.Generator
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
        small = smallness(params, self.surrogate)
        goals, curve = {}, {}
        values = self.surrogate.curve(params, self.generator)
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


def smallness(params: Params, surrogate: Surrogate) -> float:
    """0 for the largest network, 1 for the smallest."""
    share = 0.0, 0.0
    for parameter in (one for one in surrogate.space.parameters if one.key in SIZES):
        ends = parameter.choices or (parameter.low, parameter.high)
        low, high = (math.log(float(str(end))) for end in (ends[0], ends[-1]))
        now = math.log(float(str(params[parameter.key])))
        share = share[0] + now - low, share[1] + high - low
    return 1.0 - share[0] / share[1]


def hypervolume(points: Sequence[tuple[float, float]]) -> float:
    """Return the area of the square that these points dominate."""
    area, reached = 0.0, 0.0
    for x, y in sorted(points, reverse=True):
        area += x * max(0.0, y - reached)
        reached = max(reached, y)
    return area


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("scene", choices=["design", "movielens", "confirmation"])
    parser.add_argument("--tasks", type=int, help="only so many surrogates")
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    names = surrogate_names(arguments.scene)[: arguments.tasks]
    found = {method: race(method, names, arguments.seeds) for method in METHODS}
    title = f"Stopping trials by Pareto fronts: {arguments.scene}"
    report = Report(f"race_goals_{arguments.scene}", title=title)
    report.text(
        f"Mean hypervolume of {len(names)} surrogates ({', '.join(names)}) with {arguments.seeds} "
        "seeds each; in brackets the difference to TPE without a pruner with its standard error "
        "over all pairs."
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


def race(method: str, names: Sequence[str], num_seeds: int) -> Floats:
    """Return the hypervolumes [surrogates x seeds, costs]."""
    sampler, kind = METHODS[method]
    volumes = []
    for name in names:
        surrogate = surrogate_of(name)
        pruner = Pruner(PrunerConfig(kind=kind), epochs=surrogate.epochs, mode="max")
        for seed in range(num_seeds):
            generator = np.random.default_rng(seed)
            volumes.append(Search(surrogate, sampler, pruner, seed, generator).run(COSTS))
            print(f"{method:20} {name} {seed} {volumes[-1]}", flush=True)
    return np.array(volumes)


if __name__ == "__main__":
    main()
