"""`summarize`: summaries of dialogues, by encoder-decoders and causal language models."""

from __future__ import annotations

from pathlib import Path

from seqtune.core.task import BaselineSpec, Lazy, TaskSpec

_HERE = __name__

TASK = TaskSpec(
    name="summarize",
    sources=("dialogues", "valid_dialogues", "test_dialogues"),
    ingested="dialogues",
    smaller="summarize.preset=quick",
    parse_parameters=Lazy(f"{_HERE}.params:parse"),
    ingest=Lazy(f"{_HERE}.ingest:ingest"),
    split=Lazy(f"{_HERE}.split:split"),
    open_data=Lazy(f"{_HERE}.data:SummarizeData.open"),
    build_module=Lazy(f"{_HERE}.module:build_module"),
    build_data=Lazy(f"{_HERE}.datamodule:build_data"),
    estimate_memory=Lazy(f"{_HERE}.memory:estimate_memory"),
    evaluate=Lazy(f"{_HERE}.evaluate:evaluate"),
    open_pool=Lazy(f"{_HERE}.pool:open_pool"),
    predict=Lazy(f"{_HERE}.predict:predict"),
    baselines={"lead_3": BaselineSpec(Lazy(f"{_HERE}.extractor:fit"))},
    scales=("minimum_bayes_risk",),
    resolve_auto=Lazy(f"{_HERE}.auto_values:resolve_auto"),
    metrics=Lazy(f"{_HERE}.rouge:logged_metrics"),
    audit=Lazy(f"{_HERE}.encoding:truncation"),
    measure=Lazy(f"{_HERE}.decoding_metrics:measure"),
    score_rows=Lazy(f"{_HERE}.compare:score_rows"),
    after_training=("generation",),
    test_once=True,
    figures=("rouge", "lengths", "segment_metrics"),
    tables=("failures", "examples", "comparisons", "segments"),
    sample_folder=Path(__file__).with_name("sample"),
    sample_files=("dialogues.jsonl", "models/kobart", "models/llama"),
)
