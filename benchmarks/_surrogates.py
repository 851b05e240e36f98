"""Stand-ins for real training that answer within a millisecond, for racing search methods.

- `lcbench(task)`: YAHPO's surrogate of LCBench: 52-epoch curves, 7 parameters. Smooth, no noise.
- `movielens(model)`: fitted on our own measured curves of BERT4Rec on MovieLens-100K
  (`curves_movielens.py`): 60 epochs, 10 parameters, with the noise that was measured between seeds.
  `forest` is piecewise constant, `gp` smooth: a method should win on both.

Every curve is to be maximised, and a configuration is worth its best epoch, noise apart.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import curves_movielens
from _harness import shared_data
from seqtune.core.trials import Params
from seqtune.tuning.spaces.space import Space, parse_space

Floats = npt.NDArray[np.float64]
Draw = Callable[[Floats, np.random.Generator], Floats]

DESIGN = (
    *("126025", "126029", "167104", "167152", "167168", "167184", "167190", "167201", "168330"),
    *("168335", "168908", "189354", "189865", "189873", "189906", "189909", "3945"),
)
"""Tasks of LCBench to build a method on, by the README of the data; the others confirm it."""
LCBENCH_EPOCHS = 52
LCBENCH_SPACE: dict[str, Any] = {
    "batch_size": {"type": "int", "low": 16, "high": 512, "log": True},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "momentum": {"type": "float", "low": 0.1, "high": 0.99},
    "weight_decay": {"type": "float", "low": 1e-5, "high": 1e-1},
    "num_layers": {"type": "int", "low": 1, "high": 5},
    "max_units": {"type": "int", "low": 64, "high": 1024, "log": True},
    "max_dropout": {"type": "float", "low": 0.0, "high": 1.0},
}
VALID_ACCURACY = 1
"""Column of the surrogate's answer."""


@dataclass(frozen=True)
class Surrogate:
    """Curves for configurations of a space."""

    name: str
    space: Space
    epochs: int
    curves: Callable[[Sequence[Params]], Floats]
    """[N, epochs], without noise."""
    noisy: Draw
    """One curve [epochs] with the noise of a seed."""

    def curve(self, params: Params, generator: np.random.Generator) -> Floats:
        return self.noisy(self.curves([params])[0], generator)

    def worth(self, params: Params) -> float:
        """What the configuration is really worth at the full budget."""
        return float(self.curves([params]).max())

    @functools.cached_property
    def scale(self) -> tuple[float, float]:
        """(worth of the best known, worth of the median random configuration)."""
        generator = np.random.default_rng(0)
        num = len(self.space.parameters)
        points = generator.random((4096, num))
        worths = self._worths(points)
        median = float(np.median(worths))
        for width in (0.1, 0.05, 0.02, 0.01):  # look around the best ones
            best = points[np.argsort(worths)[-64:]]
            near = best.repeat(16, axis=0) + generator.normal(0, width, (1024, num))
            points = np.concatenate([best, np.clip(near, 0, 1)])
            worths = self._worths(points)
        return float(worths.max()), median

    def _worths(self, points: Floats) -> Floats:
        found = [
            self.curves([self.space.from_unit(point) for point in chunk]).max(axis=1)
            for chunk in np.array_split(points, max(1, len(points) // 512))
        ]
        return np.concatenate(found)

    def regret(self, worth: float) -> float:
        """0: the best known; 1: the median random configuration."""
        best, median = self.scale
        return (best - worth) / (best - median)


# ---- LCBench -----------------------------------------------------------------------------------


def lcbench(task: str) -> Surrogate:
    space = parse_space(LCBENCH_SPACE, root="lcbench")
    curves = functools.partial(_lcbench_curves, task)
    return Surrogate(f"lcbench {task}", space, LCBENCH_EPOCHS, curves, _no_noise)


def confirmation_tasks() -> tuple[str, ...]:
    """Tasks that no method may be designed on."""
    codes = json.loads((shared_data() / "tuning/lcbench/encoding.json").read_text())
    return tuple(task for task in codes["OpenML_task_id"] if task not in (*DESIGN, "#na#"))


@functools.cache
def _lcbench_session() -> tuple[Any, dict[str, int]]:
    import onnxruntime

    folder = shared_data() / "tuning/lcbench"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
    return session, codes


def _lcbench_curves(task: str, configurations: Sequence[Params]) -> Floats:
    session, codes = _lcbench_session()
    names = list(LCBENCH_SPACE)
    values = np.array([[params[name] for name in names] for params in configurations], np.float32)
    rows = values.repeat(LCBENCH_EPOCHS, axis=0)
    epochs = np.tile(np.arange(1, LCBENCH_EPOCHS + 1, dtype=np.float32), len(values))
    inputs = {
        "x_cat": np.full((len(rows), 1), codes[task], np.int32),
        "x_cont": np.column_stack([epochs, rows]).astype(np.float32),
    }
    answer = session.run(None, {one.name: inputs[one.name] for one in session.get_inputs()})[0]
    shaped = answer[:, VALID_ACCURACY].reshape(len(values), LCBENCH_EPOCHS)
    return np.asarray(shaped, dtype=np.float64)


def _no_noise(curve: Floats, _generator: np.random.Generator) -> Floats:
    return curve


# ---- MovieLens-100K ----------------------------------------------------------------------------

Model = Literal["forest", "gp"]
NUM_COMPONENTS = 5


def movielens(model: Model) -> Surrogate:
    """Fitted on every configuration that was measured with the common seed."""
    fitted, bank = _movielens_fitted(model)
    return Surrogate(
        f"movielens {model}",
        movielens_space(),
        curves_movielens.EPOCHS,
        lambda configurations: fitted(movielens_features(configurations)),
        functools.partial(_with_measured_noise, bank),
    )


def movielens_space() -> Space:
    return parse_space(curves_movielens.SPACE, root="movielens")


def movielens_features(configurations: Sequence[Params]) -> Floats:
    """[N, parameters], ranges as shares of themselves (log where they are)."""
    space = movielens_space()
    rows = [[_share(space[key], params[key]) for key in space.keys] for params in configurations]
    return np.array(rows, dtype=np.float64)


def _share(parameter: Any, value: Any) -> float:
    if parameter.kind == "categorical":
        return float(parameter.choices.index(value) / (len(parameter.choices) - 1))
    low, high = parameter.low, parameter.high
    if parameter.log:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return float((value - low) / (high - low))


def measured() -> tuple[Floats, Floats]:
    """(features [N, P], curves [N, epochs]) of the runs with the common seed."""
    rows = [r for r in curves_movielens.read_curves() if r["seed"] == curves_movielens.SEED]
    features = movielens_features([row["params"] for row in rows])
    return features, np.array([row["curve"] for row in rows])


def measured_noise() -> list[Floats]:
    """For each configuration run with several seeds, its curves [S, epochs]."""
    by_number: dict[int, list[Sequence[float]]] = {}
    for row in curves_movielens.read_curves():
        by_number.setdefault(row["number"], []).append(row["curve"])
    return [np.array(curves) for curves in by_number.values() if len(curves) > 1]


@functools.cache
def _movielens_fitted(model: Model) -> tuple[Callable[[Floats], Floats], list[Floats]]:
    features, curves = measured()
    return fit_curves(model, features, curves), measured_noise()


def fit_curves(model: Model, features: Floats, curves: Floats) -> Callable[[Floats], Floats]:
    """A function from features to curves, by a few principal components of the curves."""
    from sklearn.decomposition import PCA

    components = PCA(NUM_COMPONENTS, random_state=0).fit(curves)
    targets = components.transform(curves)
    predict = _forest(features, targets) if model == "forest" else _gps(features, targets)
    return lambda x: components.inverse_transform(predict(x))


def _forest(features: Floats, targets: Floats) -> Callable[[Floats], Floats]:
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(300, min_samples_leaf=2, random_state=0, n_jobs=1)
    forest.fit(features, targets)
    return functools.partial(_trees, [tree.tree_ for tree in forest.estimators_])


def _trees(trees: Sequence[Any], x: Floats) -> Floats:
    """The forest's mean, without the checks that take most of its time for a single row."""
    rows = np.ascontiguousarray(x, dtype=np.float32)
    mean: Floats = np.mean([tree.predict(rows)[..., 0] for tree in trees], axis=0)
    return mean


def _gps(features: Floats, targets: Floats) -> Callable[[Floats], Floats]:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    models = []
    for column in targets.T:
        kernel = ConstantKernel(1.0) * Matern(
            np.ones(features.shape[1]), (0.05, 1e3), nu=2.5
        ) + WhiteKernel(0.3, (1e-3, 10))
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        models.append(model.fit(features, column))
    return lambda x: np.column_stack([model.predict(x) for model in models])


def _with_measured_noise(
    bank: Sequence[Floats], curve: Floats, generator: np.random.Generator
) -> Floats:
    """Add the departure of a measured run from the mean of its seeds, of a similar configuration.

    Similar is one of the three whose best epoch is nearest; a mean of S seeds hides 1/S of the
    variance, which is given back.
    """
    levels = np.array([curves.mean(axis=0).max() for curves in bank])
    near = np.argsort(np.abs(levels - curve.max()))[:3]
    curves = bank[int(generator.choice(near))]
    seeds = len(curves)
    departures = (curves - curves.mean(axis=0)) * np.sqrt(seeds / (seeds - 1))
    noise: Floats = departures[generator.integers(seeds)] * generator.choice([-1.0, 1.0])
    return curve + noise


def cross_validated(model: Model, *, folds: int = 5) -> Mapping[str, float]:
    """How well the fitted curves predict configurations that they have not seen."""
    from scipy.stats import spearmanr

    features, curves = measured()
    fold = np.arange(len(curves)) % folds
    predicted = np.empty_like(curves)
    for number in range(folds):
        fitted = fit_curves(model, features[fold != number], curves[fold != number])
        predicted[fold == number] = fitted(features[fold == number])
    best, guessed = curves.max(axis=1), predicted.max(axis=1)
    residual = np.sum((best - guessed - np.mean(best - guessed)) ** 2)
    return {
        "r2": float(1 - residual / np.sum((best - best.mean()) ** 2)),
        "rank correlation": float(spearmanr(best, guessed).statistic),
    }
