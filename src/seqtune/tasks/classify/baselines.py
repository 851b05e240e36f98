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
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from seqtune.core.seeds import derive_seed
from seqtune.text.split import Part

from .data import ClassifyData
from .thresholds import HALF, AnyArray, Floats, best_thresholds

logger = logging.getLogger(__name__)

TFIDF, TFIDF_TUNED, PRIOR = "tfidf", "tfidf_tuned", "prior"
SETTINGS: dict[str, Any] = {
    "pieces": {"analyzer": "char_wb", "min_df": 2, "max_features": 200_000, "sublinear_tf": True},
    "lengths": [1, 4],  # of n-grams, in characters
    "strength": 10.0,  # inverse regularisation: C
    "folds": 5,
    "max_rows": 100_000,  # of the fit part; a fixed sample
    "max_characters": 2_000,  # of a text
}
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
    from sklearn.feature_extraction.text import TfidfVectorizer

    start = time.perf_counter()
    texts, targets = _fit_part(data)
    count = TfidfVectorizer(ngram_range=tuple(SETTINGS["lengths"]), **SETTINGS["pieces"])
    features = count.fit_transform(texts)  # sparse [N, F]
    for part in PARTS:
        rows = _cut(data.texts(part))
        others = count.transform(rows) if rows else features[:0]
        np.save(folder / f"{part}.npy", _fit_and_predict(features, targets, others))
    held_out = _out_of_fold(features, targets)
    np.save(folder / "thresholds.npy", best_thresholds(held_out, targets).thresholds)
    logger.info("the TF-IDF floor took %.1f s", time.perf_counter() - start)


def _fit_part(data: ClassifyData) -> tuple[list[str], AnyArray]:
    """Return texts and targets [N, L] of original rows, at most a fixed sample."""
    real = np.flatnonzero(~data.is_augmented)
    random = np.random.default_rng(derive_seed(0, "floor"))
    rows = np.sort(random.permutation(real)[: SETTINGS["max_rows"]])
    texts = data.texts("train")
    return _cut([texts[row] for row in rows]), data.targets("train")[rows]


def _cut(texts: Sequence[str]) -> list[str]:
    return [text[: SETTINGS["max_characters"]] for text in texts]


def _out_of_fold(features: Any, targets: AnyArray) -> Floats:
    """Predict each row [N, L] by a regression trained on the other folds."""
    num_rows = len(targets)
    order = np.random.default_rng(derive_seed(0, "floor", "folds")).permutation(num_rows)
    found = np.zeros(targets.shape)
    for fold in np.array_split(order, min(SETTINGS["folds"], num_rows)):
        others = np.setdiff1d(order, fold)
        found[fold] = _fit_and_predict(features[others], targets[others], features[fold])
    return found


def _fit_and_predict(features: Any, targets: AnyArray, others: Any) -> Floats:
    """Train on features and predict other rows [N, L], label by label."""
    found = np.zeros((others.shape[0], targets.shape[1]))
    if others.shape[0]:
        for label, of_label in enumerate(targets.T):
            found[:, label] = _fit_label(features, of_label, others)
    return found


def _fit_label(features: Any, targets: AnyArray, others: Any) -> Floats:  # [N]
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not len(targets) or targets.min() == targets.max():  # one class only
        return np.full(others.shape[0], float(targets.max(initial=0)))
    options = {"solver": "liblinear", "dual": True, "tol": 1e-2, "max_iter": 300}
    model = LogisticRegression(C=SETTINGS["strength"], random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # good enough for a baseline
        model.fit(features, targets)
    found: Floats = model.predict_proba(others)[:, 1]
    return found
