"""Explanations: attention is what the model used, and effects are what taking away does."""

import dataclasses
import logging

import numpy as np
import pytest
import torch
from torch.nn import functional

from seqtune import Recommender
from seqtune.core.checkpoint import file_hash
from seqtune.core.ensemble import EnsembleManifest, Member
from seqtune.core.errors import ConfigurationError, DataError
from seqtune.tasks.recommend.data import Side
from seqtune.tasks.recommend.explain import mask_attention
from seqtune.tasks.recommend.models import build_model

from .split_folders import random_model, tiny_config, write_checkpoint, write_split

NAMES = ["a", "b", "c, the third", "라", "<script>", "f"]
SEQUENCES = [[1, 2, 3, 4, 5], [2, 1, 2, 3], [3, 1, 6, 2]]  # training counts 3 2 2 0 0 0
HISTORY = ["a", "b", "라", "a"]


def load(path, *, model=None, precision="fp32", **options):
    data = write_split(path / "split", SEQUENCES, item_ids=NAMES)
    config = tiny_config(num_layers=2, **options)
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"precision": precision})}
    )
    model = model or random_model(config, data)
    return Recommender.load(write_checkpoint(path / "checkpoint", model, config, data))


@pytest.fixture
def recommender(tmp_path):
    return load(tmp_path)


# ---- attention -------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 2])
def test_recomputed_attention_gives_the_models_scores(recommender, padding):
    model = recommender.loaded.first.model
    mask = model.mask_token
    inputs = torch.tensor([[0] * padding + [4, 1, 2, mask], [6, 5, 2, 1, 3, mask][2 - padding :]])
    expected = model.next_item_scores(inputs)

    def by_our_weights(layer, asked, _output):
        x, visible, wanted = asked
        value = layer._split(layer.inputs(x), 3)[2]
        mixed = (layer.weights(x, visible) @ value).transpose(1, 2).flatten(2)
        output = layer.output(mixed).flatten(0, 1)
        return output if wanted is None else output[wanted.positions]

    handles = [block.attention.register_forward_hook(by_our_weights) for block in model.blocks]
    with torch.no_grad():
        scores = model.next_item_scores(inputs)
        for handle in handles:
            handle.remove()
        torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)


def test_other_attention_would_give_other_scores(recommender):
    model = recommender.loaded.first.model
    inputs = torch.tensor([[4, 1, 2, model.mask_token]])
    expected = model.next_item_scores(inputs)
    handle = model.blocks[0].attention.register_forward_hook(lambda *args: args[2].flip(0))
    with torch.no_grad():
        changed = model.next_item_scores(inputs)
    handle.remove()

    assert (changed - expected).abs().max() > 1e-3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_attention_is_a_share_for_each_layer_head_and_item(tmp_path, precision):
    recommender = load(tmp_path, precision=precision)
    found = recommender.explain(HISTORY)

    shares = np.array(found.attention)  # [L, H, N]
    assert shares.shape == (2, 2, 4)
    assert (shares > 0).all()
    assert np.ptp(shares) > 0.01
    np.testing.assert_allclose(shares.sum(-1) + np.array(found.own_attention), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.mean_attention, shares.mean((0, 1)))


def test_a_causal_model_answers_from_its_last_item(tmp_path):
    explained = load(tmp_path, objective="causal").explain(HISTORY, k=2)
    attention = np.asarray(explained.attention)  # [L, H, N]
    assert attention.shape == (2, 2, len(HISTORY))
    assert attention.sum(axis=2) == pytest.approx(1.0, abs=1e-5)
    assert not np.any(explained.own_attention)


def test_attention_follows_the_key_that_fits(recommender):
    """A first layer whose keys are one item's, and whose query is anybody's, looks there."""
    model = recommender.loaded.first.model
    layer = model.blocks[0].attention
    hidden = model.items.embedding_dim
    with torch.no_grad():
        model.positions.zero_()
        direction = model.norm(model.items.weight[2])  # item b
        layer.inputs.weight[: 2 * hidden].zero_()
        layer.inputs.bias[:hidden].fill_(1.0)
        layer.inputs.weight[hidden : 2 * hidden].copy_(direction.expand(hidden, hidden) * 5.0)
    weights = mask_attention(recommender.loaded.first, np.array([1, 2, 4, 1], np.int32))

    assert weights[0, :, 1].min() > 0.9
    assert weights[1, :, 1].min() < 0.9


def test_looking_leaves_the_model_as_it_was(recommender):
    before = recommender.recommend([HISTORY])
    recommender.explain(HISTORY)

    assert recommender.recommend([HISTORY]) == before
    assert not any(b.attention._forward_pre_hooks for b in recommender.loaded.first.model.blocks)


# ---- leave one out ---------------------------------------------------------------------------


def test_each_effect_is_what_a_history_without_the_item_gives(recommender):
    found = recommender.explain(HISTORY, k=2)
    rows = recommender.recommend([HISTORY], k=2)[0]

    assert found.history == tuple(HISTORY)
    assert [reason.item for reason in found.reasons] == [row.item for row in rows]
    assert [reason.rank for reason in found.reasons] == [1, 2]
    for place, row in enumerate(rows):
        reason = found.reasons[place]
        assert reason.score == pytest.approx(row.score, abs=1e-5)
        for n, without in enumerate(reason.without):
            rest = HISTORY[:n] + HISTORY[n + 1 :]
            again = recommender.recommend([rest], k=6, exclude_seen=False)[0]
            scores = {other.item: other.score for other in again}
            rivals = [scores[item] for item in NAMES if item not in HISTORY]
            assert without.item == HISTORY[n]
            assert without.score == pytest.approx(scores[row.item], abs=1e-5)
            assert without.rank == 1 + sum(score > scores[row.item] + 1e-6 for score in rivals)
            expected = log_share(recommender, HISTORY, row.item) - log_share(
                recommender, rest, row.item
            )
            assert without.effect == pytest.approx(expected, abs=1e-5)
            assert abs(without.effect) > 1e-4


def log_share(recommender, history, item):
    """Log-probability of an item among all, from public scores alone."""
    rows = recommender.recommend([history], k=6, exclude_seen=False)[0]
    scores = {row.item: row.score for row in rows}
    return scores[item] - np.log(np.exp(list(scores.values())).sum())


def test_an_item_that_decides_is_found_whatever_attention_says(tmp_path):
    """Output weights that point from 'b' to 'f': without b there is no f."""
    config = tiny_config(num_layers=2)
    data = write_split(tmp_path / "s", SEQUENCES, item_ids=NAMES)
    model = random_model(config, data)
    with torch.no_grad():
        model.positions.zero_()
        model.items.weight[2] *= 8.0
        inputs = torch.tensor([[1, 2, 4, model.mask_token], [1, 4, 4, model.mask_token]])
        with_it, without_it = model.hidden_at(inputs, torch.tensor([3, 7]))
        model.items.weight[6] = with_it - without_it
        model.item_bias[5] = 3.0
    (reason,) = load(tmp_path / "x", model=model).explain(["a", "b", "라"], k=1).reasons

    assert reason.item == "f"
    effects = {without.item: without.effect for without in reason.without}
    assert max(effects, key=effects.get) == "b"


def test_a_long_history_is_explained_as_far_as_the_model_sees(recommender):
    history = ["f", "b", *["a", "b", "라"] * 2]  # max_len 6: the last five
    found = recommender.explain(history, k=1)
    (reason,) = found.reasons

    assert found.history == ("b", "라", "a", "b", "라")
    assert len(reason.without) == len(found.mean_attention) == 5
    rest = history[:3] + history[4:]  # the first of the five; the item before it moves up
    scores = {r.item: r.score for r in recommender.recommend([rest], 6, exclude_seen=False)[0]}
    assert reason.without[0].score == pytest.approx(scores[reason.item], abs=1e-5)


def test_one_item_leaves_the_model_with_nothing_but_the_mask(recommender):
    (reason,) = recommender.explain(["a"], k=1).reasons
    loaded = recommender.loaded.first
    alone = loaded.scores(torch.tensor([[loaded.model.mask_token]]))[0]

    number = recommender.numbers[reason.item]
    assert reason.without[0].score == pytest.approx(alone[number - 1].item(), abs=1e-5)


def test_exclusions_hold_for_what_is_explained(recommender):
    found = recommender.explain(HISTORY, exclude=["f"], include_only=iter(["f", "<script>", "b"]))
    assert [reason.item for reason in found.reasons] == ["<script>"]
    seen = recommender.explain(HISTORY, k=6, exclude_seen=False)
    assert {reason.item for reason in seen.reasons} == set(NAMES)


def test_a_list_without_items_has_no_reasons(recommender):
    found = recommender.explain(HISTORY, include_only=HISTORY)
    assert found.reasons == ()
    assert found.history == tuple(HISTORY)


def test_a_cold_user_has_nothing_to_explain(recommender):
    for history in ([], ["nobody knows this"]):
        found = recommender.explain(history)
        assert (found.history, found.reasons, found.mean_attention) == ((), (), ())


def test_unknown_items_are_reported_once_and_left_out(recommender, caplog):
    with caplog.at_level(logging.WARNING):
        found = recommender.explain(["a", "x", "b"], k=1)

    assert found.history == ("a", "b")
    assert len(caplog.records) == 1


# ---- nearest ---------------------------------------------------------------------------------


def test_nearest_items_by_cosine_of_what_goes_in(recommender):
    table = recommender.loaded.first.model.items.weight[1:7]
    cosines = functional.cosine_similarity(table[2:3], table).tolist()
    expected = sorted((n for n in range(6) if n != 2), key=lambda n: -cosines[n])

    found = recommender.nearest("c, the third", k=99)

    assert [near.item for near in found.neighbours] == [NAMES[n] for n in expected]
    assert [near.similarity for near in found.neighbours] == pytest.approx(
        [cosines[n] for n in expected], abs=1e-6
    )
    assert (found.item, found.count) == ("c, the third", 2)
    assert {near.item: near.count for near in found.neighbours}["a"] == 3
    assert len(recommender.nearest("a", k=2).neighbours) == 2


def test_side_values_bring_items_together(tmp_path):
    config = tiny_config(use_genre_emb=True)
    data = write_split(tmp_path / "s", SEQUENCES, item_ids=NAMES)
    genre = Side(  # items 1 and 4 have value 1; the others value 2
        np.array([1, 2, 2, 1, 2, 2], np.int32), np.array([0, 0, 1, 2, 3, 4, 5, 6]), num_values=2
    )
    torch.manual_seed(0)
    model = build_model(config.model, num_items=6, sides={"genre": genre}).eval()
    with torch.no_grad():
        model.sides["genre"].embedding.weight.mul_(20.0)
    path = write_checkpoint(tmp_path / "checkpoint", model, config, data)

    found = Recommender.load(path).nearest("a")

    assert found.neighbours[0].item == "라"
    assert found.neighbours[0].similarity > 0.9


def test_of_an_ensemble_the_heaviest_member_is_looked_into(tmp_path):
    data = write_split(tmp_path / "s", SEQUENCES, item_ids=NAMES)
    config = tiny_config(num_layers=2)
    folders = {}
    for seed, name in enumerate(("light", "heavy")):
        folder = tmp_path / "ensemble" / "members" / name
        model = random_model(config, data, seed=seed)
        folders[name] = write_checkpoint(folder, model, config, data)
    members = [member(name, path, {"light": 0.3}.get(name, 0.7)) for name, path in folders.items()]
    manifest = EnsembleManifest(
        task="recommend",
        fingerprint="e" * 16,
        data_hash=data.content_hash,
        assets_hash=data.assets_hash,
        reference="f" * 16,
        scale="log_softmax",
        method="simplex",
        members=tuple(members),
        metric="valid ndcg@10",
        findings={},
        versions={},
    )
    (tmp_path / "ensemble" / "ensemble.json").write_text(manifest.model_dump_json())
    whole, heavy = map(Recommender.load, (tmp_path / "ensemble", folders["heavy"]))

    near, why = whole.nearest("a"), whole.explain(HISTORY, k=2)

    assert near.neighbours == heavy.nearest("a").neighbours
    assert near.model == why.model
    assert "member heavy of the ensemble" in why.model
    assert why.attention == heavy.explain(HISTORY).attention
    assert [reason.item for reason in why.reasons] == [
        row.item for row in whole.recommend([HISTORY], k=2)[0]
    ]


def member(name, path, weight):
    sha = file_hash(path / "best.safetensors")
    return Member(
        name=name, origin="", fingerprint="f" * 16, weights_sha256=sha, weight=weight, score=0.0
    )


def test_results_are_frozen_and_name_the_model(recommender):
    near, why = recommender.nearest("a"), recommender.explain(HISTORY)

    assert near.model == why.model == f"the checkpoint {'f' * 16}"
    for value in (near, near.neighbours[0], why, why.reasons[0], why.reasons[0].without[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.item = "x"
    hash(why)


def test_what_cannot_be_answered_is_refused(recommender):
    with pytest.raises(DataError, match="item 'x' is unknown to the model"):
        recommender.nearest("x")
    with pytest.raises(DataError, match="ids are str here, not int"):
        recommender.nearest(3)
    with pytest.raises(ConfigurationError, match="k=0 must be a whole number"):
        recommender.nearest("a", k=0)
