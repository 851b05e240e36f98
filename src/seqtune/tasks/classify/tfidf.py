"""TF-IDF of character n-grams with a logistic regression for each label: no network, no device.

As a baseline it stands beside every model (`baselines.py`); as a member of an ensemble it is
stored like a checkpoint: its arrays, and its n-grams among the assets.
Shapes: N texts, L labels, F features.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtune.batching import Rows
from seqtune.core.checkpoint import Which
from seqtune.core.seeds import derive_seed
from seqtune.inference import read_weights, select_device, weights_must_fit
from seqtune.text.split import Part

from .data import LABELS_FILE, ClassifyData
from .params import ClassifyConfig
from .scorer import Classifier, Logits, describe
from .thresholds import AnyArray

TFIDF = "tfidf"
N_GRAMS = "n_grams.json"
SETTINGS: dict[str, Any] = {
    "pieces": {"analyzer": "char_wb", "min_df": 2, "max_features": 200_000, "sublinear_tf": True},
    "lengths": [1, 4],  # of n-grams, in characters
    "strength": 10.0,  # inverse regularisation: C
    "folds": 5,
    "max_rows": 100_000,  # of the fit part; a fixed sample
    "max_characters": 2_000,  # of a text
}
CERTAIN = 15.0
"""The logit of a label that all texts of the fit part have, and minus that of one that none has."""


class Regressions(NamedTuple):
    """A logistic regression for each label."""

    weights: npt.NDArray[np.float32]  # [F, L]
    biases: npt.NDArray[np.float32]  # [L]

    @classmethod
    def fit(cls, features: Any, targets: AnyArray) -> Regressions:
        """Fit each label [N, L] on sparse features [N, F]."""
        fitted = [_fit_label(features, of_label) for of_label in targets.T]
        weights, biases = zip(*fitted, strict=True)
        return cls(np.stack(weights, axis=1), np.array(biases, np.float32))

    def logits(self, features: Any) -> Logits:
        """Return the logits [N, L] of sparse features [N, F]."""
        return np.asarray(features @ self.weights.astype(np.float64) + self.biases)


def _fit_label(features: Any, targets: AnyArray) -> tuple[npt.NDArray[np.float32], float]:
    """Return weights [F] and bias."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not len(targets) or targets.min() == targets.max():  # one class only
        bias = CERTAIN if targets.max(initial=0) else -CERTAIN
        return np.zeros(features.shape[1], np.float32), bias
    options = {"solver": "liblinear", "dual": True, "tol": 1e-2, "max_iter": 300}
    model = LogisticRegression(C=SETTINGS["strength"], random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # good enough for a baseline
        model.fit(features, targets)
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])


def vectorizer(**options: Any) -> Any:
    """Return a vectoriser of texts, not fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=tuple(SETTINGS["lengths"]), **SETTINGS["pieces"], **options)


def fit_part(data: ClassifyData) -> tuple[list[str], AnyArray]:
    """Return texts and targets [N, L] of original rows, at most a fixed sample."""
    real = np.flatnonzero(~data.is_augmented)
    random = np.random.default_rng(derive_seed(0, "floor"))
    rows = np.sort(random.permutation(real)[: SETTINGS["max_rows"]])
    texts = data.texts("train")
    return cut([texts[row] for row in rows]), data.targets("train")[rows]


def cut(texts: Iterable[str]) -> list[str]:
    """Shorten texts, so that a huge one costs no more than its beginning."""
    return [text[: SETTINGS["max_characters"]] for text in texts]


def fit(data: ClassifyData, _config: ClassifyConfig, *, assets: Path) -> dict[str, AnyArray]:
    """Fit on the fit part; write labels and n-grams."""
    texts, targets = fit_part(data)
    count = vectorizer()
    fitted = Regressions.fit(count.fit_transform(texts), targets)
    n_grams = count.get_feature_names_out().tolist()
    for name, values in ((LABELS_FILE, data.labels), (N_GRAMS, n_grams)):
        text = json.dumps(values, ensure_ascii=False)
        (assets / name).write_text(text + "\n", encoding="utf-8")
    return {**fitted._asdict(), "idf": count.idf_}


@dataclass(frozen=True)
class TfidfClassifier(Classifier):
    """A fitted baseline in memory."""

    vectorizer: Any
    regressions: Regressions

    def logits(self, texts: Sequence[str], *, batch_size: int) -> Logits:
        found = [
            self.regressions.logits(self.vectorizer.transform(cut(texts[n : n + batch_size])))
            for n in range(0, len(texts), batch_size)
        ]
        return np.concatenate([np.zeros((0, len(self.labels))), *found])

    def batches_of(self, data: ClassifyData, part: Part) -> TextSlices:
        return TextSlices(self, data.texts(part), self.config.evaluation.batch_size)


@dataclass(frozen=True)
class TextSlices:
    """Texts in batches, in their order."""

    classifier: TfidfClassifier
    texts: Sequence[str]
    size: int

    def logits(self) -> Logits:
        return self.classifier.logits(self.texts, batch_size=self.size)

    def some(self, first: int, count: int) -> tuple[Rows, Logits]:
        rows = np.arange(len(self.texts))[first * self.size : (first + count) * self.size]
        texts = [self.texts[row] for row in rows]
        return rows, self.classifier.logits(texts, batch_size=self.size)


def load_tfidf(path: Path, which: Which = "best", *, device: str | None = None) -> TfidfClassifier:
    """Open a fitted baseline; it computes on the CPU whatever the device of other members."""
    info = describe(path, which)
    arrays = {name: found.numpy() for name, found in read_weights(info.checkpoint, which).items()}
    n_grams = json.loads((info.assets / N_GRAMS).read_text(encoding="utf-8"))
    with weights_must_fit(info.checkpoint, which):
        regressions = Regressions(arrays["weights"], arrays["biases"])
        idf = arrays["idf"]
    count = vectorizer(vocabulary=n_grams)
    count.idf_ = idf
    where = select_device(device, info.config.training.accelerator)
    return TfidfClassifier(**vars(info), device=where, vectorizer=count, regressions=regressions)
