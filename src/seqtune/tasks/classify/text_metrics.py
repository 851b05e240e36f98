"""A metric of decisions on the texts of a part, to be computed again on any of them.

F1, precision and recall are no means over texts: they follow from counts, which add up over texts.
Shapes: N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqtune.core.errors import ConfigurationError
from seqtune.core.row_metrics import RowMetrics, thirds
from seqtune.text.split import Part

from .data import ClassifyData
from .metrics import BY_LABEL, MACRO_F1, ByLabel
from .thresholds import Bools, Floats

TEXTS = ("short texts", "medium texts", "long texts")


def text_metrics(
    data: ClassifyData, part: Part, decided: Mapping[str, Bools], *, metric: str = MACRO_F1
) -> RowMetrics:
    """Return a metric of decisions [N, L] by system, in thirds by the length of the texts."""
    if metric not in BY_LABEL:
        raise ConfigurationError(
            f"compare.metric={metric}: decisions are compared by {', '.join(BY_LABEL)}; choose "
            f"one of them, or auto for {MACRO_F1}"
        )
    measure, true = BY_LABEL[metric], data.targets(part).astype(bool)

    def of_sums(sums: Floats) -> Floats:  # [..., 3 * L] -> [...]
        return measure(ByLabel(*np.split(sums, 3, axis=-1)))

    words = np.array([len(text.split()) for text in data.texts(part)], np.int64)
    return RowMetrics(
        part=part,
        metric=metric,
        unit="texts",
        values={name: _counts(own, true) for name, own in decided.items()},
        segments=tuple(thirds(words, TEXTS, bounds="{} words")),
        of_sums=of_sums,
    )


def _counts(decided: Bools, true: Bools) -> Floats:
    """Return the numbers of each text [N, 3 * L] that add up to `ByLabel`."""
    return np.concatenate([true, decided, decided & true], axis=1).astype(np.float64)
