"""Evaluation of checkpoints whose ranks are known, and of one that was really trained."""

import json
import logging

import numpy as np
import pytest
import torch

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import ArtifactError
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.evaluate import evaluate
from seqtune.tasks.recommend.loading import load_model
from seqtune.training import fit

from .split_folders import favouring, random_model, tiny_config, write_checkpoint, write_split

NAMES = ["a", "b", "c", "d", "e", "f"]
#            train | valid | test
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2]]


@pytest.fixture
def data(tmp_path):
    return write_split(tmp_path / "split", SEQUENCES, item_ids=NAMES)


@pytest.fixture
def checkpoint(tmp_path, data):
    config = tiny_config()
    # everybody's order is 5, 4, 1, 2, 3, 6
    return write_checkpoint(
        tmp_path / "checkpoint", favouring(5, 4, data=data, config=config), config, data
    )


def test_full_ranking_by_hand(checkpoint, data):
    valid = evaluate(checkpoint, data)["parts"]["valid"]
    assert valid["users"] == 3
    full = valid["full_ranking"]
    # model: 5 stands before 4; 5, 4 before 2 (seen, but it is the target); 5, 4, 2 before 6
    assert full["hit@1"]["model"] == 0.0
    assert full["hit@5"]["model"] == 1.0
    ndcg = (1 / np.log2(3) + 1 / np.log2(4) + 1 / np.log2(5)) / 3
    assert full["ndcg@10"]["model"] == pytest.approx(ndcg, rel=1e-12)
    assert full["mrr@10"]["model"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3, rel=1e-12)
    # popularity: 5 and 6 tie with 4; 3 ties with 2; 2 stands before 6, which 4 and 5 tie with
    ndcg = (1 / np.log2(4) + 1 / np.log2(3) + 1 / np.log2(5)) / 3
    assert full["ndcg@10"]["popularity"] == pytest.approx(ndcg, rel=1e-12)
    # markov: 3 was followed by 1 only, which is seen; 1 was followed by 2
    ndcg = (1 / np.log2(4) + 1 + 1 / np.log2(5)) / 3
    assert full["ndcg@10"]["markov"] == pytest.approx(ndcg, rel=1e-12)
    assert full["hit@1"]["markov"] == pytest.approx(1 / 3)


def test_test_part_sees_the_validation_item(checkpoint, data):
    full = evaluate(checkpoint, data)["parts"]["test"]["full_ranking"]
    # 5 before 6; then 5, 4 before 3 (1 and 2 are seen); then 5, 4 before 2 (3, 1, 6 are seen)
    assert full["mrr@10"]["model"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 3, rel=1e-12)


def test_seen_items_stay_candidates_where_the_switch_says_so(tmp_path, data):
    config = tiny_config()
    config = config.model_copy(
        update={"evaluation": config.evaluation.model_copy(update={"exclude_seen": False})}
    )
    model = favouring(5, 4, data=data, config=config)
    report = evaluate(write_checkpoint(tmp_path / "other", model, config, data), data)
    full = report["parts"]["valid"]["full_ranking"]
    # 5 before 4; 5, 4, 1 before 2; all but 6 before 6
    assert full["mrr@10"]["model"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 6) / 3, rel=1e-12)
    assert "NOT excluded" in report["protocol"]


def test_lists_by_hand(checkpoint, data):
    lists = evaluate(checkpoint, data)["parts"]["valid"]["lists"]
    # 4, 5, 6 | 3, 4, 5, 6 | 2, 4, 5, 6: five items of six
    assert lists["coverage@10"]["model"] == pytest.approx(5 / 6)
    # counts 3 2 2 0 0 0, so percentiles 1, 0.7, 0.7, 0.2, 0.2, 0.2; the targets are 4, 2, 6
    popularity = (9 * 0.2 + 2 * 0.7) / 11
    assert lists["popularity@10"]["model"] == pytest.approx(popularity, rel=1e-12)
    expected = popularity - (0.2 + 0.7 + 0.2) / 3
    assert lists["popularity_bias@10"]["model"] == pytest.approx(expected, rel=1e-12)


def test_sampled_metrics_carry_their_label_and_repeat(checkpoint, data):
    first, second = (evaluate(checkpoint, data)["parts"]["valid"] for _ in range(2))
    assert first == second
    labels = {name.split("/")[0] for name in first["sampled_ranking"]}
    assert labels == {"sampled_uniform", "sampled_popularity"}
    assert not any("sampled" in name for name in first["full_ranking"])
    for name, values in first["sampled_ranking"].items():
        for scorer, value in values.items():
            assert value >= first["full_ranking"][name.split("/")[1]][scorer]


def test_sampled_metrics_can_be_switched_off(tmp_path, data):
    config = tiny_config()
    config = config.model_copy(
        update={"evaluation": config.evaluation.model_copy(update={"num_sampled_negatives": 0})}
    )
    path = write_checkpoint(tmp_path / "off", random_model(config, data), config, data)
    report = evaluate(path, data)
    assert report["parts"]["test"]["sampled_ranking"] == {}
    assert "sampled" not in report["protocol"]


def test_report_is_json(checkpoint, data):
    report = evaluate(checkpoint, data)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["fingerprint"] == "f" * 16
    assert report["data_hash"] == data.content_hash


def test_a_model_below_the_floors_is_warned_of(tmp_path, data, caplog):
    config = tiny_config()
    bad = favouring(6, 5, 1, 2, 3, data=data, config=config)
    with caplog.at_level(logging.INFO):
        report = evaluate(write_checkpoint(tmp_path / "bad", bad, config, data), data)
    verdict = report["parts"]["test"]["verdict"]
    assert report["headline"][1] == verdict
    assert "BELOW" in verdict
    assert "broken or undertrained" in verdict
    levels = {r.levelname for r in caplog.records if r.message == verdict}
    assert levels == {"WARNING"}


def test_a_model_above_the_floors_is_said_to_be(tmp_path, data, caplog):
    config = tiny_config()
    good = favouring(2, 3, 5, data=data, config=config)
    with caplog.at_level(logging.INFO):
        report = evaluate(write_checkpoint(tmp_path / "good", good, config, data), data)
    verdict = report["parts"]["test"]["verdict"]
    assert "beats all baselines" in verdict
    assert {r.levelname for r in caplog.records if r.message == verdict} == {"INFO"}


def test_a_checkpoint_of_other_items_is_refused(tmp_path, checkpoint):
    other = write_split(tmp_path / "other", SEQUENCES, item_ids=["a", "b", "c", "d", "e", "x"])
    with pytest.raises(ArtifactError, match="trained on another data set"):
        evaluate(checkpoint, other)


def test_another_split_of_the_same_items_is_warned_of(tmp_path, checkpoint, caplog):
    other = write_split(tmp_path / "other", SEQUENCES[:2], item_ids=NAMES)
    evaluate(checkpoint, other)
    assert "trained on another split" in caplog.text


def test_load_model_gives_the_same_scores(tmp_path, data):
    config = tiny_config(dropout_rate=0.5)
    model = random_model(config, data)
    loaded = load_model(write_checkpoint(tmp_path / "c", model, config, data), "last")
    inputs = torch.tensor([[0, 1, 2, 7]])
    with torch.no_grad():
        assert torch.equal(loaded.scores(inputs), model.next_item_scores(inputs))
    assert not loaded.model.training


def test_weights_that_do_not_fit_are_refused(tmp_path, data):
    config, wider = tiny_config(), tiny_config(hidden_units=16)
    path = write_checkpoint(tmp_path / "c", random_model(wider, data), config, data)
    with pytest.raises(ArtifactError, match="do not fit the configuration"):
        load_model(path)
    separate = tiny_config(share_embeddings=False)
    path = write_checkpoint(tmp_path / "d", random_model(config, data), separate, data)
    with pytest.raises(ArtifactError, match=r"do not fit the configuration.*output"):
        load_model(path)


def test_changed_weights_are_refused(checkpoint):
    weights = checkpoint / "best.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ArtifactError, match="is not what was written"):
        load_model(checkpoint)


def test_a_checkpoint_of_another_task_or_configuration_is_refused(checkpoint):
    manifest = checkpoint / "checkpoint.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "task": "classify"}))
    with pytest.raises(ArtifactError, match="belongs to the task classify"):
        load_model(checkpoint)
    config = {**content["config"], "model": {"hidden_units": 7, "num_heads": 2}}
    manifest.write_text(json.dumps({**content, "config": config}))
    with pytest.raises(ArtifactError, match="does not understand: model"):
        load_model(checkpoint)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_valid_metrics_are_those_that_training_logged(tmp_path, precision):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 31, size=size).tolist() for size in rng.integers(3, 12, size=40)]
    data = write_split(tmp_path / "long", sequences, item_ids=list(range(30)))
    config = tiny_config(init_std=0.02)
    training = {"precision": precision, "accelerator": "cpu", "epochs": 2, "batch_size": 16}
    config = type(config).model_validate({**config.model_dump(), "training": training})
    result = fit(
        TASK, config, data, directory=tmp_path / "run", fingerprint="0" * 16, progress=False
    )
    logged = open_checkpoint(result.checkpoint).manifest.best.metrics
    full = evaluate(result.checkpoint, data)["parts"]["valid"]["full_ranking"]
    names = [name for name in logged if name.startswith("val_")]
    assert len(names) == 12
    for name in names:  # Lightning keeps what is logged in single precision
        assert np.float32(full[name.removeprefix("val_")]["model"]) == np.float32(logged[name])
