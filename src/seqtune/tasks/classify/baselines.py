"""Baselines without a pretrained model; a model below them is broken or undertrained.

tfidf    logistic regression for each label on character n-grams (1 to 4): at 0.5 (`tfidf`), and at
         thresholds from out-of-fold probabilities of the fit part (`tfidf_tuned`)
prior    each label's share in the fit part as its probability; tuned, it gives every label

Both are trained on the fit part without augmented rows. On the ten reported labels of UnSmile's
valid part, tfidf has macro F1 0.66 at 0.5 and 0.737 tuned; with word n-grams it is worse (0.71).
Shapes: N rows, L labels, F features, K folds.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from seqtune.core.seeds import derive_seed
from seqtune.text.split import Part

from .data import ClassifyData
from .score_normalization import probabilities_of
from .tfidf import SETTINGS, TFIDF, Regressions, cut, fit_part, vectorizer
from .thresholds import HALF, AnyArray, Floats, best_thresholds

logger = logging.getLogger(__name__)

TFIDF_TUNED, PRIOR = "tfidf_tuned", "prior"
PARTS: tuple[Part, ...] = ("valid", "test")


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
        key = {**SETTINGS, "scikit-learn": version("scikit-learn")}
        folder = data.made("floor", key, partial(_write_tfidf, data))
        probabilities: dict[Part, Floats] = {p: np.load(folder / f"{p}.npy") for p in PARTS}
        thresholds = np.load(folder / "thresholds.npy")
        floors.insert(0, Baseline(probabilities, thresholds, names=(TFIDF, TFIDF_TUNED)))
    return floors


def _prior(data: ClassifyData) -> Baseline:
    shares = data.positives / max(1, data.num_fit_rows)
    constant = {part: np.tile(shares, (data.num_rows(part), 1)) for part in PARTS}
    thresholds = np.where(shares > 0, shares / 2, HALF)
    return Baseline(constant, thresholds, names=(PRIOR, PRIOR))


def _write_tfidf(data: ClassifyData, folder: Path) -> None:
    """Train on the fit part and predict the held-out parts."""
    start = time.perf_counter()
    texts, targets = fit_part(data)
    count = vectorizer()
    features = count.fit_transform(texts)  # sparse [N, F]
    fitted = Regressions.fit(features, targets)
    for part in PARTS:
        rows = cut(data.texts(part))
        others = count.transform(rows) if rows else features[:0]
        np.save(folder / f"{part}.npy", probabilities_of(fitted.logits(others)))
    held_out = _out_of_fold(features, targets)
    np.save(folder / "thresholds.npy", best_thresholds(held_out, targets).thresholds)
    logger.info("the TF-IDF floor took %.1f s", time.perf_counter() - start)


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
