"""Baselines without a pretrained model; a model below them is broken or undertrained.

tfidf    logistic regression for each label on character n-grams (1 to 4): at 0.5 (`tfidf`), and at
         thresholds from out-of-fold probabilities of the fit part (`tfidf_tuned`)
prior    each label's share in the fit part as its probability; tuned, it gives every label

Both are trained on the fit part without augmented rows. On the ten reported labels of UnSmile's
valid part, tfidf has macro F1 0.66 at 0.5 and 0.737 tuned; with word n-grams it is worse (0.71).
Trained on samples of the fit part, tfidf also shows what more labelled texts would bring.
Shapes: N rows, L labels, F features, K folds.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqtune.core.seeds import derive_seed
from seqtune.text.split import Part

from .data import ClassifyData
from .decisions import Scores
from .metrics import MACRO_F1, decided_metrics
from .score_normalization import probabilities_of
from .tfidf import SETTINGS, TFIDF, Regressions, cut, fit_part, vectorizer
from .thresholds import HALF, AnyArray, Floats, best_thresholds

logger = logging.getLogger(__name__)

TFIDF_TUNED, PRIOR = "tfidf_tuned", "prior"
PARTS: tuple[Part, ...] = ("valid", "test")
CURVE_FILE = "learning_curve.json"
FEW_POSITIVES, FACTOR = 8, 4
"""Positives of a label, on average, in the smallest sample; the next has FACTOR times as many."""


@dataclass(frozen=True)
class Baseline:
    """A baseline's probabilities of the held-out parts."""

    probabilities: dict[Part, Floats]  # [N, L]
    thresholds: Floats  # [L], tuned on the fit part
    names: tuple[str, str]  # columns in reports: at 0.5, and at its thresholds


def open_baselines(data: ClassifyData, *, tfidf: bool) -> list[Baseline]:
    """Return the baselines of a split, strongest first; `tfidf` is computed once for each split."""
    floors = [_prior(data)]
    if tfidf:
        folder = data.made("floor", _settings(), partial(_write_tfidf, data))
        probabilities: dict[Part, Floats] = {p: np.load(folder / f"{p}.npy") for p in PARTS}
        thresholds = np.load(folder / "thresholds.npy")
        floors.insert(0, Baseline(probabilities, thresholds, names=(TFIDF, TFIDF_TUNED)))
    return floors


def tuned_scores(floors: Sequence[Baseline], part: Part) -> dict[str, Scores]:
    """Return the probabilities of baselines and their own thresholds, by name."""
    return {floor.names[1]: Scores(floor.probabilities[part], floor.thresholds) for floor in floors}


def _prior(data: ClassifyData) -> Baseline:
    shares = data.positives / max(1, data.num_fit_rows)
    constant = {part: np.tile(shares, (data.num_rows(part), 1)) for part in PARTS}
    thresholds = np.where(shares > 0, shares / 2, HALF)
    return Baseline(constant, thresholds, names=(PRIOR, PRIOR))


def learning_curve(data: ClassifyData) -> dict[int, float]:
    """Return tfidf_tuned's macro F1 on valid by the number of texts that it is trained on.

    Samples are parts of larger ones. Computed once for each split.
    """
    key = {**_settings(), "samples": [FEW_POSITIVES, FACTOR]}
    folder = data.made("learning_curve", key, partial(_write_learning_curve, data))
    found = json.loads((folder / CURVE_FILE).read_text(encoding="utf-8"))
    return {int(num_texts): f1 for num_texts, f1 in found.items()}


def _settings() -> dict[str, Any]:
    return {**SETTINGS, "scikit-learn": version("scikit-learn")}


class _Fitted(NamedTuple):
    vectorizer: Any
    regressions: Regressions
    thresholds: Floats  # [L], from out-of-fold probabilities

    @classmethod
    def on(cls, texts: Sequence[str], targets: AnyArray) -> _Fitted:
        count = vectorizer()
        features = count.fit_transform(texts)  # sparse [N, F]
        thresholds = best_thresholds(_out_of_fold(features, targets), targets).thresholds
        return cls(count, Regressions.fit(features, targets), thresholds)

    def probabilities_of(self, data: ClassifyData, part: Part) -> Floats:
        texts = cut(data.texts(part))
        if not texts:
            return np.zeros((0, len(self.thresholds)))
        return probabilities_of(self.regressions.logits(self.vectorizer.transform(texts)))


def _write_tfidf(data: ClassifyData, folder: Path) -> None:
    """Train on the fit part and predict the held-out parts."""
    start = time.perf_counter()
    fitted = _Fitted.on(*fit_part(data))
    for part in PARTS:
        np.save(folder / f"{part}.npy", fitted.probabilities_of(data, part))
    np.save(folder / "thresholds.npy", fitted.thresholds)
    logger.info("the TF-IDF floor took %.1f s", time.perf_counter() - start)


def _write_learning_curve(data: ClassifyData, folder: Path) -> None:
    texts, targets = fit_part(data)
    order = np.random.default_rng(derive_seed(0, "floor", "samples")).permutation(len(texts))
    found = {}
    for size in _sample_sizes(targets):
        rows = order[:size]
        fitted = _Fitted.on([texts[row] for row in rows], targets[rows])
        scores = fitted.probabilities_of(data, "valid")
        found[size] = decided_metrics(scores, data.targets("valid"), fitted.thresholds)[MACRO_F1]
    (folder / CURVE_FILE).write_text(json.dumps(found), encoding="utf-8")


def _sample_sizes(targets: AnyArray) -> list[int]:
    """Return the numbers of texts, smallest first, each well below all of them."""
    num_texts, num_labels = targets.shape
    size = FEW_POSITIVES * num_texts * num_labels / max(int(targets.sum()), 1)
    sizes = []
    while size * FACTOR / 2 <= num_texts:
        sizes.append(round(size))
        size *= FACTOR
    return sizes


def _out_of_fold(features: Any, targets: AnyArray) -> Floats:
    """Predict each row [N, L] by a regression trained on the other folds."""
    num_rows = len(targets)
    order = np.random.default_rng(derive_seed(0, "floor", "folds")).permutation(num_rows)
    found = np.zeros(targets.shape)
    for fold in np.array_split(order, min(SETTINGS["folds"], num_rows)):
        others = np.setdiff1d(order, fold)
        fitted = Regressions.fit(features[others], targets[others])
        found[fold] = probabilities_of(fitted.logits(features[fold]))
    return found
