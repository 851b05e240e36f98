"""Ensembles scored like checkpoints: scales by hand, batches, and what is refused."""

import json
import shutil
import weakref
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import rankdata

from seqtune import Recommender
from seqtune.core.errors import ArtifactError, ConfigurationError, TrainingError
from seqtune.tasks.recommend.batches import eval_batches
from seqtune.tasks.recommend.ensemble import member_scores, open_members, open_model
from seqtune.tasks.recommend.evaluate import evaluate
from seqtune.tasks.recommend.loading import LoadedModel
from seqtune.tasks.recommend.params import PredictConfig
from seqtune.tasks.recommend.predict import predict
from seqtune.tasks.recommend.score_normalization import SCALES, on_scale

from .split_folders import (
    favouring,
    random_model,
    tiny_config,
    write_checkpoint,
    write_ensemble,
    write_split,
)

NAMES = ["a", "b", "c", "d", "e", "f"]
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2]]
LENGTHS = (3, 6, 12)


@pytest.fixture
def data(tmp_path):
    return write_split(tmp_path / "split", SEQUENCES, item_ids=NAMES)


@pytest.fixture
def long(tmp_path):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 31, size=size).tolist() for size in rng.integers(3, 15, size=40)]
    return write_split(tmp_path / "long", sequences, item_ids=list(range(30)))


def numbers(report: dict[str, Any]) -> list[Any]:
    """All that was measured, without the sentence that names what it was measured of."""
    return [{k: v for k, v in part.items() if k != "verdict"} for part in report["parts"].values()]


def checkpoints(path, data, *, max_lens=LENGTHS):
    """Random models that look back differently far."""
    made = []
    for number, max_len in enumerate(max_lens):
        config = tiny_config(max_len=max_len)
        model = random_model(config, data, seed=number)
        made.append(write_checkpoint(path / f"c{number}", model, config, data))
    return made


def test_log_softmax_by_hand():
    found = on_scale(torch.tensor([[0.0, np.log(3.0)], [5.0, 5.0]]), "log_softmax")
    assert found.dtype == torch.float64
    assert found.exp().tolist() == [
        pytest.approx([0.25, 0.75], rel=1e-6),
        pytest.approx([0.5, 0.5]),
    ]


def test_equal_scores_share_the_mean_of_their_places():
    found = on_scale(torch.tensor([[9.0, 1.0, 9.0, 3.0], [2.0, 2.0, 2.0, 2.0]]), "ranks")
    # 9 and 9 take places 0 and 1, 3 takes 2, 1 takes 3
    assert found.tolist() == [[-0.5, -3.0, -0.5, -2.0], [-1.5] * 4]


def test_places_are_those_of_scipy_for_any_ties():
    scores = np.random.default_rng(0).integers(0, 5, size=(40, 9)).astype(np.float32)
    expected = rankdata(-scores, method="average", axis=1) - 1
    assert np.array_equal(-on_scale(torch.from_numpy(scores), "ranks").numpy(), expected)


def test_scores_that_are_close_stay_apart_on_every_scale():
    scores = torch.tensor([[0.1, np.nextafter(np.float32(0.1), np.float32(1)), 50.0]])
    for scale in SCALES:
        low, high, _ = on_scale(scores, scale)[0].tolist()
        assert low < high


@pytest.mark.parametrize("scale", SCALES)
def test_scores_that_are_not_numbers_are_refused(scale):
    with pytest.raises(TrainingError, match="NaN scores"):
        on_scale(torch.tensor([[1.0, float("nan")]]), scale)


def test_a_scale_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="unknown scale 'logits'; choose one of log_softmax"):
        on_scale(torch.zeros(1, 2), "logits")


def test_ranks_combined_by_hand(tmp_path, data):
    config = tiny_config()
    paths = []
    for order in ((5, 4), (4, 6)):  # that is 5 4 1 2 3 6 and 4 6 1 2 3 5
        model = favouring(*order, data=data, config=config)
        paths.append(write_checkpoint(tmp_path / str(order), model, config, data))
    shares = dict(zip(paths, (0.75, 0.25), strict=True))
    mixed = write_ensemble(tmp_path / "mixed", shares, scale="ranks")
    scores = open_model(mixed).scores(torch.tensor([[0, 1, 7]]))
    ranks = [2, 3, 4, 1 * 0.75, 5 * 0.25, 5 * 0.75 + 1 * 0.25]
    assert scores[0].tolist() == pytest.approx([-rank for rank in ranks])


def test_equal_mean_places_are_ties_whatever_the_order_of_adding_up(tmp_path, data):
    config, paths = tiny_config(), []
    for shift in range(5):  # every one of the first five takes every place once
        order = [(shift + place) % 5 + 1 for place in range(5)]
        model = favouring(*order, data=data, config=config)
        paths.append(write_checkpoint(tmp_path / str(shift), model, config, data))
    mixed = write_ensemble(tmp_path / "mixed", dict.fromkeys(paths, 0.2), scale="ranks")
    scores = open_model(mixed).scores(torch.tensor([[0, 1, 7]]))
    assert len(set(scores[0, :5].tolist())) == 1
    assert scores[0].tolist() == pytest.approx([-2.0] * 5 + [-5.0])


def test_log_softmax_combined_is_the_weighted_mean(tmp_path, long):
    paths = checkpoints(tmp_path, long)
    shares = (0.5, 0.2, 0.3)
    mixed = open_model(write_ensemble(tmp_path / "mixed", dict(zip(paths, shares, strict=True))))
    members = open_members({str(path): path for path in paths}).values()
    assert mixed.max_len == 12
    for batch in eval_batches(long, "valid", max_len=12, batch_size=7):
        expected = sum(
            share * torch.log_softmax(member_scores(member, batch.inputs).double(), dim=1)
            for share, member in zip(shares, members, strict=True)
        )
        torch.testing.assert_close(mixed.scores(batch.inputs), expected, rtol=1e-12, atol=1e-12)


def test_what_a_member_sees_of_a_longer_batch_is_its_own_batch(long):
    for own in LENGTHS:
        longest = eval_batches(long, "test", max_len=max(LENGTHS), batch_size=7)
        its_own = eval_batches(long, "test", max_len=own, batch_size=7)
        for wide, narrow in zip(longest, its_own, strict=True):
            assert torch.equal(wide.inputs[:, -own:], narrow.inputs)


@pytest.mark.parametrize("scale", SCALES)
def test_an_ensemble_of_one_is_its_checkpoint(tmp_path, long, scale):
    chosen, other, _ = checkpoints(tmp_path, long)
    alone = write_ensemble(tmp_path / "alone", {other: 0.0, chosen: 1.0}, scale=scale)
    assert numbers(evaluate(alone, long)) == numbers(evaluate(chosen, long))
    for path, out in ((alone, tmp_path / "x"), (chosen, tmp_path / "y")):
        out.mkdir()
        predict(path, long, PredictConfig(top_k=5, batch_size=8), new_rows=(), out=out)
    x, y = (pq.read_table(tmp_path / name / "predictions.parquet") for name in "xy")
    assert x.equals(y)


@pytest.mark.parametrize("scale", SCALES)
def test_equal_members_give_the_lists_of_one(tmp_path, long, scale):
    path = checkpoints(tmp_path, long)[1]
    twin = shutil.copytree(path, tmp_path / "twin")
    both = write_ensemble(tmp_path / "both", {path: 0.5, twin: 0.5}, scale=scale)
    assert numbers(evaluate(both, long)) == numbers(evaluate(path, long))


def test_order_of_users_and_size_of_batches_do_not_change_scores(tmp_path, long):
    paths = checkpoints(tmp_path, long)
    mixed = open_model(write_ensemble(tmp_path / "m", dict.fromkeys(paths, 1 / 3), scale="ranks"))
    (whole,) = eval_batches(long, "valid", max_len=mixed.max_len, batch_size=100)
    scores = dict(zip(whole.users.tolist(), mixed.scores(whole.inputs), strict=True))
    for batch in eval_batches(long, "valid", max_len=mixed.max_len, batch_size=3):
        for user, row in zip(batch.users.tolist(), mixed.scores(batch.inputs), strict=True):
            torch.testing.assert_close(row, scores[user])


def test_no_members_scores_are_alive_when_the_next_one_starts(tmp_path, long, monkeypatch):
    paths = checkpoints(tmp_path, long, max_lens=(6,) * 5)
    mixed = open_model(write_ensemble(tmp_path / "m", dict.fromkeys(paths, 0.2)))
    real, made, alive = LoadedModel.scores, [], []

    def noted(model, inputs):
        alive.append(sum(scores() is not None for scores in made))
        scores = real(model, inputs)
        made.append(weakref.ref(scores))
        return scores

    monkeypatch.setattr(LoadedModel, "scores", noted)
    (batch,) = eval_batches(long, "valid", max_len=6, batch_size=100)
    mixed.scores(batch.inputs)
    assert alive == [0] * 5


def test_what_is_in_between_takes_a_few_users_at_a_time(tmp_path, data, monkeypatch):
    heights = []
    real = on_scale

    def noted(scores, scale):
        heights.append(len(scores))
        return real(scores, scale)

    monkeypatch.setattr("seqtune.tasks.recommend.score_normalization.on_scale", noted)
    mixed = open_model(
        write_ensemble(tmp_path / "m", dict.fromkeys(checkpoints(tmp_path, data), 1 / 3))
    )
    mixed.scores(torch.tensor([[1, 7]] * 70))
    assert heights == [32, 32, 6] * 3


def test_the_report_names_members_and_shares_instead_of_an_epoch(tmp_path, data):
    paths = checkpoints(tmp_path, data)
    path = write_ensemble(tmp_path / "m", dict(zip(paths, (0.25, 0.0, 0.75), strict=True)))
    report = evaluate(path, data)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert [(m["name"], m["weight"]) for m in report["members"]] == [("m1", 0.25), ("m3", 0.75)]
    assert report["scale"] == "log_softmax"
    assert report["fingerprint"] == json.loads((path / "ensemble.json").read_text())["fingerprint"]
    assert "epoch" not in report
    assert {n: c["model"]["max_len"] for n, c in report["configs"].items()} == {"m1": 3, "m3": 12}
    assert set(report["parts"]) == {"valid", "test"}


def test_predictions_of_an_ensemble(tmp_path, data):
    path = write_ensemble(tmp_path / "m", dict.fromkeys(checkpoints(tmp_path, data), 1 / 3))
    (tmp_path / "out").mkdir()
    report = predict(path, data, PredictConfig(top_k=2), new_rows=(), out=tmp_path / "out")
    assert report["users"] == 3
    assert report["ensemble"] == str(path)
    assert len(report["members"]) == 3


def test_the_last_weights_of_an_ensemble_are_refused(tmp_path, data):
    path = write_ensemble(tmp_path / "m", dict.fromkeys(checkpoints(tmp_path, data), 1 / 3))
    with pytest.raises(ConfigurationError, match="weights='last' was requested of the ensemble"):
        predict(path, data, PredictConfig(weights="last"), new_rows=(), out=tmp_path)


def test_the_python_api_takes_an_ensemble_and_its_versions(tmp_path, data):
    paths = checkpoints(tmp_path, data)
    versions = tmp_path / "data" / "ensemble"
    january, february = (f"2026-0{month}-01T00.00.00.000Z" for month in (1, 2))
    for version, share in ((january, 0.5), (february, 0.9)):
        shares = dict(zip(paths[:2], (share, 1 - share), strict=True))
        write_ensemble(versions / version / "ensemble", shares)
    newest = Recommender.load(versions)
    assert newest.loaded.path == versions / february / "ensemble"
    older = Recommender.load(versions / january / "ensemble")
    assert older.loaded.path.parent.name == january
    assert older.loaded.heaviest()[1].startswith("member m1 of the ensemble ")
    (rows,) = newest.recommend([["a", "b"]], k=2)
    assert {row.item for row in rows} <= {"c", "d", "e", "f"}
    assert rows[0].score < 0.0  # a mean of logarithms of shares


def test_members_that_speak_of_other_items_are_refused(tmp_path, data):
    other = write_split(tmp_path / "other", SEQUENCES, item_ids=[*NAMES[:5], "x"])
    first, second = checkpoints(tmp_path / "a", data)[0], checkpoints(tmp_path / "b", other)[1]
    path = write_ensemble(tmp_path / "m", {first: 0.5, second: 0.5})
    with pytest.raises(ArtifactError, match="m1 and m2 cannot be combined: their item numbers"):
        open_model(path)


def test_members_that_rank_other_candidates_are_refused(tmp_path, data):
    first = checkpoints(tmp_path / "a", data)[0]
    config = tiny_config()
    config = config.model_copy(
        update={"evaluation": config.evaluation.model_copy(update={"exclude_seen": False})}
    )
    second = write_checkpoint(tmp_path / "b", random_model(config, data), config, data)
    with pytest.raises(ConfigurationError, match="exclude_seen is True in one and False in the"):
        open_model(write_ensemble(tmp_path / "m", {first: 0.5, second: 0.5}))


def test_other_data_than_the_members_were_trained_on_is_refused(tmp_path, data):
    path = write_ensemble(tmp_path / "m", dict.fromkeys(checkpoints(tmp_path, data), 1 / 3))
    other = write_split(tmp_path / "other", SEQUENCES, item_ids=[*NAMES[:5], "x"])
    with pytest.raises(ArtifactError, match="trained on another data set"):
        evaluate(path, other)


def test_another_split_of_the_same_items_is_warned_of(tmp_path, data, caplog):
    path = write_ensemble(tmp_path / "m", dict.fromkeys(checkpoints(tmp_path, data), 1 / 3))
    evaluate(path, write_split(tmp_path / "other", SEQUENCES[:2], item_ids=NAMES))
    assert "trained on another split" in caplog.text


def test_an_exchanged_member_is_refused(tmp_path, data):
    first, second, third = checkpoints(tmp_path, data)
    path = write_ensemble(tmp_path / "m", {first: 0.5, second: 0.5})
    shutil.rmtree(path / "members" / "m2")
    shutil.copytree(third, path / "members" / "m2")
    with pytest.raises(ArtifactError, match="member m2 is not the one it was made with"):
        open_model(path)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"task": "classify"}, "belongs to the task classify"),
        ({"scale": "logits"}, "combines on the scale 'logits'; this version"),
        ({"members": []}, "has no member with a weight above 0"),
    ],
)
def test_an_ensemble_that_cannot_be_scored_is_refused(tmp_path, data, manifest, message):
    path = write_ensemble(tmp_path / "m", {checkpoints(tmp_path, data)[0]: 1.0}, **manifest)
    with pytest.raises(ArtifactError, match=message):
        open_model(path)
