"""What the floors say of texts whose words give their labels away."""

import shutil

import numpy as np
import pytest

from seqtune.tasks.classify import TASK
from seqtune.tasks.classify import baselines as floors_module
from seqtune.tasks.classify.baselines import learning_curve, open_baselines
from seqtune.tasks.classify.metrics import decided_metrics, lrap
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.tasks.classify.thresholds import best_thresholds

from .examples import generated, make_split


def macro_f1(floor, data, part="valid", thresholds=None):
    chosen = floor.thresholds if thresholds is None else thresholds
    found = decided_metrics(floor.probabilities[part], data.targets(part), chosen)
    return found["macro_f1"]


def test_words_are_learnt_and_beat_the_prior(small_data):
    tfidf, prior = open_baselines(small_data, tfidf=True)
    assert (tfidf.names, prior.names) == (("tfidf", "tfidf_tuned"), ("prior", "prior"))
    for part in ("valid", "test"):
        assert tfidf.probabilities[part].shape == (24, 3)
        assert macro_f1(tfidf, small_data, part) > macro_f1(prior, small_data, part) + 0.2


def test_thresholds_found_on_the_fit_part_are_better_than_a_half(tmp_path):
    data = make_split(tmp_path / "s", train=generated(300), valid=generated(300, seed=1))
    (tfidf, _) = open_baselines(data, tfidf=True)
    assert (tfidf.thresholds != 0.5).all()
    assert macro_f1(tfidf, data) > macro_f1(tfidf, data, thresholds=0.5)


def test_the_prior_by_hand(tmp_path):
    rows = [("a", (1, 0, 0)), ("b", (1, 1, 0)), ("c", (1, 0, 0)), ("d", (0, 1, 0))]
    data = make_split(tmp_path / "s", train=rows, valid=rows[:3])
    (prior,) = open_baselines(data, tfidf=False)
    assert prior.probabilities["valid"].tolist() == [[3 / 4, 2 / 4, 0.0]] * 3
    # everything is given but the third, which nobody has: 2 * 3 / (3 + 3), 2 * 1 / (3 + 1)
    assert macro_f1(prior, data) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert lrap(prior.probabilities["valid"], data.targets("valid")) == 1.0


def test_rows_that_were_made_up_teach_nothing(tmp_path):
    made_up = [("ball " * n, (1, 0, 1)) for n in range(1, 30)]
    plain, more = (
        make_split(tmp_path / name, augmented=rows) for name, rows in (("a", ()), ("b", made_up))
    )
    one, other = (open_baselines(data, tfidf=True)[0] for data in (plain, more))
    assert one.thresholds.tolist() == other.thresholds.tolist()
    assert one.probabilities["test"].tolist() == other.probabilities["test"].tolist()


def test_what_is_held_out_has_no_say_in_thresholds(tmp_path):
    rows = generated(24, seed=1)
    turned = [(text, [1 - y for y in labels]) for text, labels in rows]
    one = make_split(tmp_path / "a", valid=rows, test=rows)
    other = make_split(tmp_path / "b", valid=turned, test=turned)
    found = [open_baselines(data, tfidf=True)[0] for data in (one, other)]
    assert found[0].thresholds.tolist() == found[1].thresholds.tolist()


def test_it_is_computed_once_and_always_the_same(tmp_path, monkeypatch):
    data = make_split(tmp_path / "s")
    first = open_baselines(data, tfidf=True)[0]
    shutil.rmtree(data.path / "made")
    again = open_baselines(data, tfidf=True)[0]
    assert again.probabilities["valid"].tolist() == first.probabilities["valid"].tolist()
    monkeypatch.setattr(floors_module, "fit_part", None)  # calling it now would fail
    kept = open_baselines(data, tfidf=True)[0]
    assert kept.thresholds.tolist() == first.thresholds.tolist()


def test_more_labelled_texts_are_worth_more(tmp_path):
    data = make_split(tmp_path / "s", train=generated(800), valid=generated(200, seed=1))
    found = learning_curve(data)
    share = data.positives.sum() / data.num_fit_rows / len(data.labels)
    smallest, *larger = found
    assert smallest == round(8 / share)
    assert larger == [round(8 / share * 4**n) for n in range(1, len(found))]
    assert larger[-1] <= data.num_fit_rows / 2 < larger[-1] * 4
    (tfidf, _) = open_baselines(data, tfidf=True)
    assert found[smallest] < found[larger[-1]] <= macro_f1(tfidf, data) + 0.05


def test_the_curve_of_texts_is_computed_once_and_has_nothing_of_test(tmp_path, monkeypatch):
    rows = generated(100, seed=1)
    one, other = (
        make_split(tmp_path / name, train=generated(300), test=test)
        for name, test in (("a", rows), ("b", rows[:3]))
    )
    assert learning_curve(one) == learning_curve(other)
    monkeypatch.setattr(floors_module, "fit_part", None)  # calling it now would fail
    assert learning_curve(one)


def test_rows_are_not_judged_by_a_regression_that_saw_them(tmp_path):
    """Words and labels by chance: all there is to learn is by heart."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefgh"), 15)) for _ in range(120)]
    rows = [(word, random.integers(0, 2, 3).tolist()) for word in words]
    data = make_split(tmp_path / "s", train=rows, valid=rows)
    tfidf = open_baselines(data, tfidf=True)[0]
    fitted_on_valid = best_thresholds(tfidf.probabilities["valid"], data.targets("valid"))
    assert fitted_on_valid.f1.mean() > 0.95
    assert macro_f1(tfidf, data) < fitted_on_valid.f1.mean() - 0.1


def test_labels_that_nobody_or_everybody_has(tmp_path):
    rows = [(text, [first, 0, 1]) for text, (first, _, _) in generated(40)]
    data = make_split(tmp_path / "s", train=rows, valid=rows[:9], test=[])
    tfidf, prior = open_baselines(data, tfidf=True)
    assert tfidf.probabilities["valid"][:, 1:] == pytest.approx(
        np.array([[0.0, 1.0]] * 9), abs=1e-6
    )
    assert tfidf.thresholds[1:] == pytest.approx([0.5, 0.5], abs=1e-6)
    assert tfidf.probabilities["test"].shape == (0, 3)
    assert prior.thresholds.tolist()[1:] == [0.5, 0.5]


def test_huge_texts_cost_no_more_than_their_beginning(tmp_path):
    limit = floors_module.SETTINGS["max_characters"]
    rows = generated(20, seed=1)
    short = [(text.ljust(limit, "."), labels) for text, labels in rows]
    long = [(text + "bread ball" * 10_000, labels) for text, labels in short]
    found = [
        open_baselines(make_split(tmp_path / name, valid=valid), tfidf=True)[0]
        for name, valid in (("a", short), ("b", long))
    ]
    assert found[0].probabilities["valid"].tolist() == found[1].probabilities["valid"].tolist()


@pytest.mark.slow
def test_on_unsmile_it_is_what_was_measured_before(tmp_path, shared_data):
    """Macro F1 of the ten labels that its authors report, on their valid part: 0.66 and 0.738 when
    all of their training part is learnt from, of which a tenth is held out here."""
    config = ClassifyConfig.model_validate(
        {
            "ingest": {"columns": {"text": "문장", "ignore": ["개인지칭"]}, "on_empty": "drop"},
            "split": {"test_share": 0.0, "augmentation": "none"},
        }
    )
    files = {"texts": "unsmile_train_v1.0.tsv", "test_texts": "unsmile_valid_v1.0.tsv"}
    sources = {role: (shared_data / "classify" / name,) for role, name in files.items()}
    for name in ("texts", "split"):
        (tmp_path / name).mkdir()
    TASK.ingest(sources, config, out=tmp_path / "texts")
    TASK.split(tmp_path / "texts", config, out=tmp_path / "split")
    data = TASK.open_data(tmp_path / "split")
    tfidf = open_baselines(data, tfidf=True)[0]
    assert macro_f1(tfidf, data, "test", thresholds=0.5) == pytest.approx(0.653, abs=0.01)
    assert macro_f1(tfidf, data, "test") == pytest.approx(0.732, abs=0.01)
