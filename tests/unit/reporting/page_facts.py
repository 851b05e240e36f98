"""Facts of a run in which everything happened, with one text wherever data can bring one."""

from __future__ import annotations

import json
from typing import Any

VERSION = "2026-11-21T20.18.52.891Z"
EARLIER = "2026-11-20T08.00.01.123Z"


def full_facts(text: str = "plain") -> dict[str, Any]:
    """`text` stands for whatever a user, a library or a data set may have written."""
    documents = {name: found(value) for name, value in reports(text).items()}
    return {
        "task": "recommend",
        "version": VERSION,
        "started": "2026-11-21T20:18:52+00:00",
        "seconds": 231.4,
        "status": "failed",
        "error": {"kind": text, "message": text, "node": text},
        "asked": {
            "command": f"kedro run {text}",
            "pipelines": [text],
            "env": text,
            "changes": [
                {"key": text, "value": text, "was": None, "origin": text},
                {"key": f"a.spaces.{text}", "value": [1, text], "was": 2, "origin": text},
            ],
        },
        "documents": documents,
        "answer": {
            "metric": "ndcg@10",
            "mode": "max",
            "parts": {
                "test": {
                    "values": {"model": 0.29741, "ensemble": 0.3012},
                    "floors": {"markov": 0.0918, text: 0.0398},
                },
                "valid": {"values": {"model": 0.3052}, "floors": {}},
            },
            "search": {"metric": text, "score": 0.3},
            "signs": signs(text),
        },
        "spent": [
            {"stage": "quick", "trials": 12, "epochs": 96, "seconds": 142.1, "version": EARLIER}
        ],
        "examples": [{"who": text, "list": [text, text]}],
        "nodes": [{"name": f"recommend.{text}", "seconds": 12.5}],
        "reproduce": {
            "versions": {"python": "3.11.7", text: text},
            "platform": text,
            "cpus": 2,
            "git": {"commit": text, "changed": True},
            "datasets": [{"name": text, "version": text, "here": False, "read": True}],
            "pins": text,
        },
        "figures": {
            "quick_history": {"json": figure(text), "version": EARLIER, "here": False},
            "something_else": {"json": figure(text), "version": VERSION, "here": True},
            "broken": {"json": "{", "version": VERSION, "here": True},
            "quick_pareto": {"json": '{"data": [], "layout": {}}', "version": None, "here": True},
        },
    }


def found(value: Any, *, here: bool = True) -> dict[str, Any]:
    return {"value": value, "version": VERSION if here else EARLIER, "here": here}


def figure(text: str) -> str:
    layout = {
        "title": {"text": text, "subtitle": {"text": text}},
        "height": 440,
        "margin": {"t": 82},
        "xaxis": {"title": {"text": text}},
    }
    return json.dumps(
        {"data": [{"type": "scatter", "y": [1, 2], "text": [text]}], "layout": layout}
    )


def signs(text: str) -> list[dict[str, Any]]:
    floor = {"metric": text, "part": "test", "value": 0.3, "floor": text, "at": 0.1}
    beside = {"part": "test", "ensemble": 0.3, "single": 0.2}
    brought = {"gain": 0.0123, "error": 0.002, "num": 3, "single": 0.36, "mean": 0.33, "luck": 0.03}
    keys: dict[str, dict[str, Any]] = {
        "sign.floor_true": floor,
        "sign.floor_false": floor,
        "sign.verify_warn": {"ok": 13, "warn": 1, "fail": text},
        "sign.ensemble_ok": beside,
        "sign.search_ok": brought,
        "sign.stable_bad": {"num": 5, "max_std": text},
        "sign.other_data": {},
    }
    return [
        {"level": "warn", "key": key, "values": values, "section": "metrics"}
        for key, values in keys.items()
    ]


def reports(text: str) -> dict[str, Any]:
    best = {"model": {"hidden_units": 32, text: text}, "training": {"lr": 0.003}}
    return {
        "ingest_report": {
            "rows_read": 87837,
            "rows_kept": 87731,
            "rows_dropped": {"null": 0, text: 106},
            "users": 2929,
            "users_dropped": 71,
            "items": 500,
            "length": {"p5": 12, "p50": 27, "p95": 60},
            "density": 0.0599,
            "time": {"first_date": text, "last_date": "2023-03-15T05:36:55+00:00"},
            "files": [{"role": text, "path": text, "bytes": 2371614, "rows": 87837}],
            "warnings": [text],
        },
        "split_report": {
            "strategy": text,
            "users": 2929,
            "items": 500,
            "train_interactions": 81873,
            "users_with_target": {"valid": 2929, "test": 2929},
            "users_without_training": 1,
            "content_hash": text * 4,
            "warnings": [text],
        },
        "dry_run_report": {"headline": [text]},
        "verify_report": {
            "headline": [text],
            "checks": [
                {"name": text, "status": "ok", "message": text, "fix": ""},
                {"name": text, "status": "fail", "message": text, "fix": text},
            ],
            "proof": {"tuning": {"losses": [6.18]}, "training": {"losses": [6.17]}},
        },
        **{f"tune_{stage}_report": stage_report(text) for stage in ("test", "quick", "medium")},
        **{f"{stage}_analysis": analysis(text) for stage in ("quick", "medium")},
        "narrowing_report": {
            "headline": [text],
            "decisions": [
                {
                    "key": text,
                    "importance": 0.2,
                    "action": text,
                    "before": {"low": 0.1, "high": 0.3, "log": True},
                    "after": {"choices": [text, 2]},
                    "reason": text,
                }
            ],
            "agreement": {"note": text},
        },
        "data_changes_report": {
            "headline": [text],
            "sizes": [{"name": "users", "before": None, "now": 610}],
            "drift": 0.12,
            "risers": [{"item": text, "before": 0.0, "now": 0.25}],
            "fallers": [],
            "gone": {text: 12},
        },
        "refresh_report": {"headline": [text], "published": "kept"},
        "rerank_report": {
            "headline": [text],
            "rows": [{"trial": 5, "rank_before": 2, "rank_after": 1, "mean": 0.3162, "std": None}],
            "chosen": 5,
            "reason": text,
        },
        "tune_seed_report": {"enabled": True, "headline": [text], "num": 15, "mean": 0.3},
        "best_config": {
            "values": best,
            "metric": "val_ndcg@10",
            "score": 0.3052,
            "trial": 5,
            "study": text,
            "best_epoch": 15,
            "chosen": f"{text}!",
        },
        "robust_config": {"values": best, "note": text},
        "config": {
            "preset": text,
            "values": {
                text: {"value": text, "origin": text},
                "seed": {"value": 42, "origin": "default"},
            },
        },
        "checkpoint": {
            "manifest": {
                "fingerprint": text,
                "config": {"training": {"monitor": "val_ndcg@10"}},
                "best": {"epoch": 2},
                "last": {"epoch": 3},
                "epochs_planned": 3,
                "stopped": text,
                "seconds": 18.2,
            },
            "history": [
                {"epoch": n, "train_loss": 6 - n, "val_ndcg@10": 0.1 * n, "train_ndcg@10": 0.1}
                for n in (1, 2, 3)
            ],
        },
        "metrics": metrics(text),
        "validate_report": {
            "headline": [text],
            "metric": text,
            "max_std": 0.002,
            "groups": {text: {"num_runs": 5, "mean": 0.29, "std": 0.00123}},
        },
        "ensemble_report": {
            "headline": [text],
            "method": text,
            "scale": text,
            "reason": text,
            "why_these": text,
            "members": [
                {"name": text, "weight": 0.6, "score": 0.3, "origin": text},
                {"name": "b", "weight": 0.0, "score": None, "origin": text},
            ],
            "rows": [{"method": text, "scale": text, "cv_mean": 0.3, "difference": -0.01}],
            "num_folds": 5,
            "num_rows": 2929,
        },
        "ensemble_metrics": {
            **metrics(text),
            "beside_single": {
                "metric": text,
                "parts": {text: {"ensemble": 0.3, "single": 0.29, "gain": 0.01}},
            },
            "test_read_from_store": True,
        },
        "compare_report": {
            **metrics(text),
            "part": "valid",
            "metric": text,
            "draws": 1000,
        },
        "predict_report": {
            "headline": [text],
            "rows": 29290,
            "users": 2929,
            "top_k": 10,
            "cold_users": 3,
            "short_lists": 4,
            "checkpoint": text,
            "fingerprint": text,
        },
    }


def stage_report(text: str) -> dict[str, Any]:
    return {
        "enabled": True,
        "headline": [text],
        "counts": {"complete": 8, "pruned": 2, "infeasible": 1, "failed": 1},
        "budget": {"trials": 12, "epochs": 8, "why": text},
        "sampler": text,
        "pruner": text,
        "stopped": [text],
        "notes": [text],
        "seconds": 74.2,
    }


def analysis(text: str) -> dict[str, Any]:
    return {
        "headline": [text],
        "counts": {"complete": 8, "pruned": 2, "infeasible": 1, "failed": 1},
        "reasons": [{"state": text, "reason": text, "num": 1}],
        "top": [
            {"rank": 1, "trial": 10, "score": 0.21371, "gap": 0.0065, "params": {text: 1}},
            {"rank": 2, "trial": 0, "score": 0.172, "gap": None, "params": {text: text}},
        ],
        "importance": {
            "values": {text: 0.55, "b": 0.0},
            "method": text,
            "num_trials": 12,
            "is_noise": True,
            "note": text,
        },
        "regularisation": [{"parameter": text, "floor": 0.1, "recommendation": text}],
        "overfitting": [{"level": "warn", "key": text, "text": text}],
        "shared": [{"parameter": text, "value": text, "text": text}],
        "agreement": {"note": text},
    }


def metrics(text: str) -> dict[str, Any]:
    row = {"model": 0.29741, "markov": 0.0918, text: 0.0398}
    part = {
        "users": 2929,
        "verdict": text,
        "full_ranking": {"ndcg@10": row, "hit@1": row, text: row},
        text: {"coverage@10": row},
    }
    return {
        "headline": [text],
        "num_users": 2929,
        "num_items": 500,
        "protocol": text,
        "definitions": {"coverage@10": text},
        "parts": {"test": part, "valid": part},
    }
