"""An ensemble as a writer: who is followed, what it is called, what is refused."""

import weakref

import numpy as np
import pytest

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.tasks.summarize import ensemble as ensemble_module
from seqtune.tasks.summarize.ensemble import open_model
from seqtune.tasks.summarize.evaluate import evaluate
from seqtune.tasks.summarize.mbr import agreement, choose

from .checkpoint_folders import trained, write_checkpoint, write_ensemble
from .examples import config_of


def written(folder, food):
    return open_model(folder).summarise(food.dialogues("valid"), batch_size=4)


def test_of_each_dialogue_the_summary_that_members_agree_on(tmp_path, three, food):
    alone = [written(folder, food) for folder in three.values()]
    assert len({tuple(one.texts) for one in alone}) == 3
    shares = (0.4, 0.35, 0.25)
    ensemble = write_ensemble(tmp_path / "e", dict(zip(three.values(), shares, strict=True)))
    texts = list(zip(*(one.texts for one in alone), strict=True))
    rows = choose(agreement(texts, tokenizer="words"), np.array(shares))
    found = written(ensemble, food)
    assert found.texts == [own[member] for own, member in zip(texts, rows, strict=True)]
    assert len(set(rows)) > 1
    cut = [alone[member].is_cut[row] for row, member in enumerate(rows)]
    assert found.is_cut.tolist() == cut


def test_one_member_is_in_memory_at_a_time(tmp_path, three, food, monkeypatch):
    parts = dict.fromkeys(three.values(), 1 / 3)
    ensemble = open_model(write_ensemble(tmp_path / "e", parts))
    alive, real = [], ensemble_module.load_summarizer

    def load(path, which, **options):
        assert [model for model in alive if model() is not None] == []
        opened = real(path, which, **options)
        alive.append(weakref.ref(opened.model))
        return opened

    monkeypatch.setattr(ensemble_module, "load_summarizer", load)
    parts = [food.dialogues("valid"), food.dialogues("test")]
    found = list(ensemble.summarise_each(parts, batch_size=4))
    assert len(alive) == 3  # each once, whatever the number of lists
    monkeypatch.undo()
    kept = ensemble.load()
    again = list(kept.summarise_each(parts, batch_size=4))
    assert [one.texts for one in found] == [one.texts for one in again]
    assert kept.summarise(parts[1], batch_size=4).texts == found[1].texts
    assert set(kept.loaded) == set(ensemble.members)


def test_one_member_alone_is_itself(tmp_path, three, food):
    parts = {three["m1"]: 0.0, three["m2"]: 1.0}
    ensemble = write_ensemble(tmp_path / "e", parts)
    assert written(ensemble, food).texts == written(three["m2"], food).texts
    assert list(open_model(ensemble).members) == ["m2"]


def test_it_is_evaluated_like_a_checkpoint(tmp_path, three, food):
    parts = {three["m1"]: 0.3, three["m2"]: 0.7}
    ensemble = write_ensemble(tmp_path / "e", parts)
    report = evaluate(ensemble, food, parts=("valid",))
    assert report["ensemble"] == str(ensemble)
    assert report["fingerprint"] == open_model(ensemble).ensemble.manifest.fingerprint
    assert [member["weight"] for member in report["members"]] == [0.3, 0.7]
    assert set(report["configs"]) == {"m1", "m2"}
    assert "ensemble" in report["headline"][0]
    assert next(iter(report["exhibits"]["rouge"]["bars"])) == "ensemble"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"task": "recommend"}, "belongs to the task recommend, not to summarize"),
        ({"scale": "mean"}, "combines on the scale 'mean'"),
        ({"members": []}, "has no member with a weight above 0"),
    ],
)
def test_manifests_of_others_are_refused(tmp_path, three, manifest, message):
    ensemble = write_ensemble(tmp_path / "e", {three["m1"]: 1.0}, **manifest)
    with pytest.raises(ArtifactError, match=message):
        open_model(ensemble)


def test_it_has_best_weights_only(tmp_path, three):
    ensemble = write_ensemble(tmp_path / "e", {three["m1"]: 1.0})
    with pytest.raises(ConfigurationError, match="weights='last' was requested of the ensemble"):
        open_model(ensemble, "last")


def test_a_member_that_was_exchanged_is_refused(tmp_path, three):
    ensemble = write_ensemble(tmp_path / "e", {three["m1"]: 0.5, three["m2"]: 0.5})
    (ensemble / "members" / "m1").rename(tmp_path / "away")
    (ensemble / "members" / "m2").rename(ensemble / "members" / "m1")
    (tmp_path / "away").rename(ensemble / "members" / "m2")
    with pytest.raises(ArtifactError, match="is not the one it was made with"):
        open_model(ensemble)


def test_members_that_are_scored_otherwise_are_refused(tmp_path, three, food, tiny_bart):
    config = config_of(tiny_bart, evaluation={"references": "mean"})
    other = write_checkpoint(tmp_path / "c", trained(config, food, steps=0), config, food)
    ensemble = write_ensemble(tmp_path / "e", {three["m1"]: 0.5, other: 0.5})
    with pytest.raises(ConfigurationError, match=r"evaluation.references is max in one and mean"):
        open_model(ensemble)
