"""Score summaries of held-out dialogues by models, baselines and other systems.

Shapes: R rows that are compared; 3 is ROUGE-1, ROUGE-2, ROUGE-L.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from seqtune.core.config import CompareConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.metrics import HEADLINE
from seqtune.core.row_metrics import RowMetrics, read_systems
from seqtune.core.task import Report
from seqtune.text.answers import AnswerFiles, require_rows

from .baselines import BASELINES, baseline_summaries
from .data import ID, SummarizeData
from .ensemble import describe_model, open_model
from .evaluate import describe_rouge
from .params import IngestConfig, SummarizeConfig
from .reading import COLUMNS_KEY
from .report_items import row_metrics
from .rouge import METRICS, ROUGE_SUM, rouge

PROTOCOL = (
    "Each model writes under its own section generation; rows are a fixed sample of the part, the "
    "same for all systems."
)


def score_rows(
    models: Mapping[str, Path],
    answers: tuple[Path, ...],
    data: SummarizeData,
    settings: CompareConfig,
    *,
    scratch: Path,
) -> tuple[RowMetrics, Report]:
    """Score summaries of a fixed sample of one part.

    The first model decides which dialogues these are, how files are read and what ROUGE counts.
    One model is in memory at a time.
    """
    del scratch
    part = settings.part
    require_rows(data, part, task="summarize")
    described = {name: describe_model(path) for name, path in models.items()}
    for model in described.values():
        model.require_assets(data.assets_hash, what=str(data.path))
        model.warn_of_other_split(data, rows="dialogues")
    config = next(iter(described.values())).config
    metric = _metric(settings.metric, config)
    most = settings.max_rows or config.evaluation.max_rows
    rows = data.sample(part, most, seed=config.seed).tolist()
    dialogues, references = data.dialogues(part), data.references(part)
    dialogues, references = [dialogues[row] for row in rows], [references[row] for row in rows]
    ids = data.ids(part)
    files = _answer_files([ids[row] for row in rows], config.ingest)
    others = read_systems(answers, files.read, taken=(*models, *BASELINES))
    summaries = {name: _summaries(path, dialogues) for name, path in models.items()}
    summaries |= baseline_summaries(dialogues)
    summaries |= {name: [text for (text,) in own] for name, own in others.items()}
    score = partial(
        rouge,
        references=references,
        tokenizer=config.evaluation.tokenizer,
        combine=config.evaluation.references,
    )
    scores = {name: score(texts) for name, texts in summaries.items()}
    written = f"{len(rows)} of {data.num_rows(part)} dialogues of {part} were summarised"
    return row_metrics(part, dialogues, scores, metric=metric), {
        HEADLINE: [f"{written} by each model (compare.max_rows)"],
        "data_hash": data.content_hash,
        "protocol": f"{describe_rouge(config.evaluation)} {PROTOCOL}",
        "rows": len(rows),
        "rows_of_part": data.num_rows(part),
        "models": {name: model.identity() for name, model in described.items()},
        "answers": [str(path) for path in answers],
    }


def _metric(name: str, config: SummarizeConfig) -> str:
    monitored = config.training.monitor.removeprefix("val_")
    if name == "auto":
        return monitored if monitored in METRICS else ROUGE_SUM
    if name not in METRICS:
        raise ConfigurationError(
            f"compare.metric={name}: summaries are compared by {', '.join(METRICS)}; choose one of "
            f"them, or auto for what training monitors"
        )
    return name


def _answer_files(ids: Sequence[str], config: IngestConfig) -> AnswerFiles[str]:
    columns = config.columns
    return AnswerFiles(
        ids,
        columns.id or ID,
        (columns.summary,),
        _parse_text,
        "summaries must be texts",
        config,
        keys=COLUMNS_KEY,
    )


def _parse_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _summaries(path: Path, dialogues: Sequence[str]) -> list[str]:
    model = open_model(path)
    return model.summarise(dialogues, batch_size=model.config.evaluation.batch_size).texts
