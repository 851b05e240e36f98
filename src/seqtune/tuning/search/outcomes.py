"""Record the result of a trial."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from ..objectives.scoring import Score
from ..studies.records import METRICS, REASON, SCORE

LONGEST_REASON = 500


def record_result(
    trial: optuna.Trial, metrics: Mapping[str, float], score: Score, *, pruned: str
) -> bool:
    """End it with its score, or as pruned for this reason; False if it had already ended."""
    try:
        trial.set_user_attr(METRICS, {name: float(value) for name, value in metrics.items()})
        trial.set_user_attr(SCORE, score.score)
        if pruned:
            trial.set_user_attr(REASON, pruned)
            trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            trial.study.tell(trial, list(score.values), skip_if_finished=True)
    except UpdateFinishedTrialError:
        return False
    return True


def describe(error: BaseException) -> str:
    """Return type, message, and the last line of code outside libraries."""
    libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(libraries)] or frames
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    text = f"{type(error).__name__}: {error}".strip()
    return text[: LONGEST_REASON - len(place)] + place
