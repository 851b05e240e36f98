"""`recommend`: next-item recommendation (BERT4Rec, SASRec, GRU4Rec)."""

from __future__ import annotations

from pathlib import Path

from seqtune.core.task import BaselineSpec, Lazy, TaskSpec

_HERE = __name__

TASK = TaskSpec(
    name="recommend",
    sources=("interactions",),
    named_sources={"sides": Lazy(f"{_HERE}.params:side_names")},
    ingested="interactions",
    predict_sources=("allow", "deny"),
    parse_parameters=Lazy(f"{_HERE}.params:parse"),
    ingest=Lazy(f"{_HERE}.ingest:ingest"),
    split=Lazy(f"{_HERE}.split:split"),
    open_data=Lazy(f"{_HERE}.data:SplitData.open"),
    chosen_on_valid={"model.item_to_item": "val_item_to_item"},
    carry_over=Lazy(f"{_HERE}.carry_over:carry_over"),
    describe_changes=Lazy(f"{_HERE}.changes:describe_changes"),
    smaller="recommend.preset=small",
    describe_data=Lazy(f"{_HERE}.data_facts:describe_data"),
    build_module=Lazy(f"{_HERE}.module:build_module"),
    build_data=Lazy(f"{_HERE}.datamodule:RecommendData"),
    estimate_memory=Lazy(f"{_HERE}.memory:estimate_memory"),
    evaluate=Lazy(f"{_HERE}.evaluate:evaluate"),
    open_pool=Lazy(f"{_HERE}.pool:open_pool"),
    predict=Lazy(f"{_HERE}.predict:predict"),
    export=Lazy(f"{_HERE}.export:export"),
    resolve_auto=Lazy(f"{_HERE}.module:resolve_auto"),
    metrics=Lazy(f"{_HERE}.metrics:logged_metrics"),
    baselines={
        name: BaselineSpec(
            Lazy(f"{_HERE}.counted_model:fit_{name}"),
            is_inside=Lazy(f"{_HERE}.params:holds_counts"),
        )
        for name in ("item_to_item", "markov")
    },
    score_rows=Lazy(f"{_HERE}.compare:score_rows"),
    scales=("log_softmax", "ranks"),
    figures=("segment_metrics",),
    tables=("comparisons", "segments"),
    sample_folder=Path(__file__).with_name("sample"),
    sample_files=("interactions.csv.gz", "genre.csv", "director.csv", "writer.csv", "title.csv"),
)
