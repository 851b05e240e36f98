"""Search methods for `race_tuning.py`, over the engine's own spaces, narrowing and records.

A method is given a surrogate, a budget in full trainings and a seed, and answers with what the
configuration that it would recommend is really worth. Cost is counted in epochs: a pruned or short
training costs what it ran. The recommended one is the best complete trial, by what was measured
(with noise), of the last stage that has one.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from _surrogates import Floats, Surrogate
from seqtune.core.trials import Params, Trial, ranked
from seqtune.tuning.analysis.importance import importance
from seqtune.tuning.analysis.rank_correlation import estimated_rank_correlation
from seqtune.tuning.config import NarrowingConfig, PrunerConfig, SamplerConfig, SamplerKind
from seqtune.tuning.narrowing.decisions import Narrowed
from seqtune.tuning.narrowing.narrow import narrow
from seqtune.tuning.sampling.pruners import Pruner
from seqtune.tuning.sampling.samplers import build_sampler
from seqtune.tuning.spaces.space import Space

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

NO_PRUNING = PrunerConfig(kind="none")
MEDIAN = PrunerConfig(kind="median")
"""After the engine's warm-up."""

Method = Callable[[Surrogate, float, int], dict[float, float]]
"""(surrogate, budget, seed) -> worth of the recommended configuration by cost in full trainings."""


@dataclass
class Purse:
    """What may still be spent, and what has been found for it."""

    surrogate: Surrogate
    epochs_left: int
    generator: np.random.Generator
    spent: int = 0
    found: dict[float, float] = field(default_factory=dict)

    @classmethod
    def of(cls, surrogate: Surrogate, budget: float, seed: int) -> Purse:
        return cls(surrogate, round(budget * surrogate.epochs), np.random.default_rng(seed))

    def note(self, params: Params) -> None:
        """`params` is what would be recommended now."""
        self.found[self.spent / self.surrogate.epochs] = self.surrogate.worth(params)


@dataclass
class Stage:
    """One study: trials of the same number of epochs."""

    purse: Purse
    space: Space
    epochs: int
    propose: Callable[[Stage], Params]
    pruning: PrunerConfig = NO_PRUNING
    fixed: Params = field(default_factory=dict)
    """Values of parameters that narrowing has taken out."""
    trials: list[Trial] = field(default_factory=list)
    frozen: list[FrozenTrial] = field(default_factory=list)

    def run(
        self, epochs_to_spend: int, *, queue: Sequence[Params] = (), resumed: int = 0
    ) -> list[Trial]:
        """Trials until the next one would cost more; one that is queued runs first.

        `resumed` epochs of a queued trial are those of an earlier one, and cost nothing.
        """
        waiting = list(queue)
        until = self.purse.spent + epochs_to_spend
        while self.purse.spent + self.epochs - (resumed if waiting else 0) <= until:
            if waiting:
                self.purse.spent -= resumed
            params = waiting.pop(0) if waiting else self.propose(self)
            self.trials.append(self.train(params))
            if best := ranked(self.trials, mode="max"):
                self.purse.note(best[0].params)
        return self.trials

    def train(self, params: Params) -> Trial:
        full = {**self.fixed, **params}
        curve = self.purse.surrogate.curve(full, self.purse.generator)[: self.epochs]
        ran = self._pruned_at(curve) or len(curve)
        self.purse.spent += ran
        trial = Trial(
            number=len(self.trials),
            state="pruned" if ran < len(curve) else "complete",
            params=full,
            score=float(curve[:ran].max()),
            curve={epoch: float(value) for epoch, value in enumerate(curve[:ran], start=1)},
        )
        self.frozen.append(frozen(trial, self.space))
        return trial

    def _pruned_at(self, curve: Floats) -> int | None:
        """The epoch after which the engine's pruner stops this curve."""
        if self.pruning.kind == "none":
            return None
        pruner = Pruner(self.pruning, epochs=self.epochs, mode="max")
        seen: dict[int, float] = {}
        for epoch, value in enumerate(curve, start=1):
            seen[epoch] = float(value)
            if pruner.reason(seen, self.frozen, root=len(self.trials)):
                return epoch
        return None


# ---- proposing ---------------------------------------------------------------------------------

Shown = Callable[[Stage], list[FrozenTrial]]
"""What a sampler is shown of the stage, and perhaps of an earlier one."""


def own_trials(stage: Stage) -> list[FrozenTrial]:
    """As the engine shows them: pruned trials as pruned, which GP overlooks."""
    return stage.frozen


def pruned_as_complete(stage: Stage) -> list[FrozenTrial]:
    """Pruned trials with the best value that they had come to."""
    return [frozen(trial, stage.space, state="complete") for trial in stage.trials]


def by_sampler(
    kind: SamplerKind, seed: int, *, startup: int = 10, shown: Shown = own_trials
) -> Callable[[Stage], Params]:
    """The proposal of the engine's sampler after what it is shown."""
    config = SamplerConfig(kind=kind, startup_trials=startup)

    def propose(stage: Stage) -> Params:
        past = shown(stage)
        study = optuna.create_study(pruner=optuna.pruners.NopPruner(), direction="maximize")
        study.add_trials(past)
        study.sampler = build_sampler(
            config, seed=seed, rank=len(past), num_drawn=len(past), space=stage.space
        )
        return stage.space.suggest(study.ask())

    return propose


def frozen(trial: Trial, space: Space, *, state: str = "", gain: float = 0.0) -> FrozenTrial:
    """A trial as Optuna keeps it; what lies outside the space is left out."""
    state = state or trial.state
    legal = {
        one.key: trial.params[one.key]
        for one in space.parameters
        if one.key in trial.params and one.contains(trial.params[one.key])
    }
    return create_trial(
        params=legal,
        distributions={key: space[key].distribution() for key in legal},
        value=(trial.score or 0.0) + gain,
        intermediate_values=dict(trial.curve),
        state=TrialState.PRUNED if state == "pruned" else TrialState.COMPLETE,
    )


# ---- methods -----------------------------------------------------------------------------------


def plain(
    surrogate: Surrogate,
    budget: float,
    seed: int,
    *,
    sampler: SamplerKind,
    pruning: PrunerConfig = NO_PRUNING,
    shown: Shown = own_trials,
    startup: int = 10,
) -> dict[float, float]:
    """Full trainings from beginning to end."""
    purse = Purse.of(surrogate, budget, seed)
    propose = by_sampler(sampler, seed, startup=startup, shown=shown)
    Stage(purse, surrogate.space, surrogate.epochs, propose, pruning).run(purse.epochs_left)
    return purse.found


@dataclass(frozen=True)
class Recipe:
    """A quick and a medium stage."""

    quick_share: float = 0.5
    """Of the budget."""
    quick_epochs: float = 0.4
    """Of the full number."""
    quick_sampler: SamplerKind = "sobol"
    quick_pruning: PrunerConfig = NO_PRUNING
    policy: str = "safe"
    margin: float = 0.1
    queue: int = 3
    sampler: SamplerKind = "tpe"
    startup: int = 10
    pruning: PrunerConfig = NO_PRUNING
    resume: bool = False
    """Queued trials train only the epochs that the quick ones did not."""
    transfer: bool = False
    """The medium sampler also learns from the quick trials, their values raised by what the longer
    training has gained so far."""


def staged(surrogate: Surrogate, budget: float, seed: int, *, recipe: Recipe) -> dict[float, float]:
    """Quick, narrowed by the engine, medium."""
    purse = Purse.of(surrogate, budget, seed)
    space = surrogate.space
    epochs = max(3, round(recipe.quick_epochs * surrogate.epochs))
    propose = by_sampler(recipe.quick_sampler, seed)
    quick = Stage(purse, space, epochs, propose, recipe.quick_pruning)
    quick.run(round(recipe.quick_share * purse.epochs_left))
    found = narrowed(quick, recipe)
    shown = partial(with_quick, quick=quick) if recipe.transfer else own_trials
    propose = by_sampler(recipe.sampler, seed + 1, startup=recipe.startup, shown=shown)
    best = ranked(quick.trials, mode="max")[0].params
    fixed = {key: value for key, value in best.items() if key not in found.space.keys}
    medium = Stage(purse, found.space, surrogate.epochs, propose, recipe.pruning, fixed)
    left, resumed = purse.epochs_left - purse.spent, epochs if recipe.resume else 0
    medium.run(left, queue=found.queue, resumed=resumed)
    return purse.found


def narrowed(quick: Stage, recipe: Recipe) -> Narrowed:
    trials, space = quick.trials, quick.space
    agreement = estimated_rank_correlation(
        trials,
        short_epochs=quick.epochs,
        long_epochs=quick.purse.surrogate.epochs,
        mode="max",
    )
    return narrow(
        trials,
        space=space,
        target=space,
        config=NarrowingConfig.model_validate(
            {"policy": recipe.policy, "margin": recipe.margin, "queue_best": recipe.queue}
        ),
        importance=importance(trials, space, mode="max", sampler=recipe.quick_sampler),
        mode="max",
        rank_correlation=agreement.value,
    )


def with_quick(stage: Stage, *, quick: Stage) -> list[FrozenTrial]:
    """Own trials, and those of the quick stage at what they might have come to."""
    done = [trial for trial in stage.trials if trial.state == "complete"]
    gains = [
        (trial.score or 0.0) - max(v for e, v in trial.curve.items() if e <= quick.epochs)
        for trial in done
    ]
    gain = float(np.mean(gains)) if gains else 0.0
    seen = [trial.params for trial in stage.trials]
    short = [trial for trial in quick.trials if trial.params not in seen]
    return [
        *(one for trial in short if (one := frozen(trial, stage.space, gain=gain)).params),
        *pruned_as_complete(stage),
    ]


def halving(
    surrogate: Surrogate,
    budget: float,
    seed: int,
    *,
    share: float = 0.5,
    epochs: float = 0.1,
    resume: bool = False,
) -> dict[float, float]:
    """Space-filling and short; then the best of them at full length, best first."""
    recipe = Recipe(share, epochs, policy="none", queue=1000, resume=resume)
    return staged(surrogate, budget, seed, recipe=recipe)


# ---- running -----------------------------------------------------------------------------------


def scale_of(surrogate: Surrogate) -> tuple[float, float]:
    """The surrogate's scale, kept between runs: it takes seconds."""
    file = Path(tempfile.gettempdir()) / "seqtune-race-scales-2.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    key = surrogate.name
    if surrogate.name.startswith("movielens") or key not in known:
        known[key] = surrogate.scale
        file.write_text(json.dumps(known))
    best, median = known[key]
    return best, median


def value_at(found: dict[float, float], cost: float) -> float:
    """The worth of what was recommended at that cost; NaN if nothing was yet."""
    before = [at for at in found if at <= cost + 1e-9]
    return found[max(before)] if before else float("nan")
