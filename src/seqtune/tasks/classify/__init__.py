"""`classify`: several labels for each text, by pretrained encoders."""

from __future__ import annotations

from pathlib import Path

from seqtune.core.task import BaselineSpec, Lazy, TaskSpec

_HERE = __name__

TASK = TaskSpec(
    name="classify",
    sources=("texts", "test_texts"),
    ingested="texts",
    parse_parameters=Lazy(f"{_HERE}.params:parse"),
    ingest=Lazy(f"{_HERE}.ingest:ingest"),
    split=Lazy(f"{_HERE}.split:split"),
    open_data=Lazy(f"{_HERE}.data:ClassifyData.open"),
    build_module=Lazy(f"{_HERE}.module:build_module"),
    build_data=Lazy(f"{_HERE}.datamodule:build_data"),
    estimate_memory=Lazy(f"{_HERE}.memory:estimate_memory"),
    evaluate=Lazy(f"{_HERE}.evaluate:evaluate"),
    open_pool=Lazy(f"{_HERE}.pool:open_pool"),
    predict=Lazy(f"{_HERE}.predict:predict"),
    baselines={
        "tfidf": BaselineSpec(Lazy(f"{_HERE}.tfidf:fit"), libraries=("scikit-learn",)),
    },
    export=Lazy(f"{_HERE}.export:export"),
    scales=("probabilities", "logits"),
    resolve_auto=Lazy(f"{_HERE}.auto_values:resolve_auto"),
    metrics=Lazy(f"{_HERE}.metrics:logged_metrics"),
    audit=Lazy(f"{_HERE}.data:truncation"),
    score_rows=Lazy(f"{_HERE}.compare:score_rows"),
    test_once=True,
    figures=(
        *("precision_recall", "thresholds", "confusion", "co_occurrence", "learning"),
        "segment_metrics",
    ),
    tables=("classes", "comparisons", "segments"),
    sample_folder=Path(__file__).with_name("sample"),
    sample_files=("texts.tsv", "models/electra", "models/bert", "models/roberta"),
)
