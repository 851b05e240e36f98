"""What is reported of a checkpoint: numbers, floors, words and what is shown."""

import json

import numpy as np
import pytest

from seqtune.core.errors import ArtifactError
from seqtune.core.metrics import exhibit, values_of
from seqtune.tasks.summarize.baselines import baseline_summaries, lead_3
from seqtune.tasks.summarize.decoder import GeneratedTexts
from seqtune.tasks.summarize.evaluate import evaluate
from seqtune.tasks.summarize.failures import failures
from seqtune.tasks.summarize.rouge import named, rouge

from .checkpoint_folders import trained, write_checkpoint
from .examples import config_of, make_model, rows, write_split


@pytest.fixture(scope="module")
def report(three, food):
    return evaluate(three["m3"], food)


def test_the_numbers_of_a_part_by_hand(report, food):
    part = report["parts"]["test"]
    assert part["rows"] == 8
    lead = [lead_3(dialogue) for dialogue in food.dialogues("test")]
    found = named(rouge(lead, food.references("test"), tokenizer="words", combine="max"))
    for metric, expected in found.items():
        assert part["rouge"][metric]["lead_3"] == pytest.approx(expected, rel=1e-12)
        assert set(part["rouge"][metric]) == {"model", "lead_3", "longest_sentence"}
    ours = part["rouge"]
    summed = sum(ours[name]["model"] for name in ("rouge1", "rouge2", "rougeL"))
    assert ours["rouge_sum"]["model"] == pytest.approx(summed)
    assert values_of(report, "test", "rouge_sum")["model"] == ours["rouge_sum"]["model"] > 0
    assert part["references_per_row"] == 2.0
    assert part["lengths"]["mean_words"]["lead_3"] == np.mean([len(t.split()) for t in lead])
    assert part["seconds_per_row"] > 0


def test_it_says_what_was_scored_and_how(report, food, three):
    assert report["checkpoint"] == str(three["m3"])
    assert (report["fingerprint"], report["data_hash"]) == ("f" * 16, food.content_hash)
    assert "on words (between spaces and marks" in report["protocol"]
    assert "of several references the one that scores best" in report["protocol"]
    assert set(report["parts"]) == {"valid", "test"}
    assert json.loads(json.dumps(report)) == report
    assert [part["verdict"] for part in report["parts"].values()] == [
        line for line in report["headline"] if "both baselines" in line
    ]


def test_parts_are_scored_as_asked(three, food, report):
    found = evaluate(three["m3"], food, parts=("valid",))
    assert found["parts"].keys() == {"valid"}
    seconds = found["parts"]["valid"].pop("seconds_per_row")
    expected = {k: v for k, v in report["parts"]["valid"].items() if k != "seconds_per_row"}
    assert seconds > 0
    assert found["parts"]["valid"] == expected
    assert "valid" in found["exhibits"]["rouge"]["title"]
    assert evaluate(three["m3"], food, parts=())["exhibits"] == {}


def test_what_is_shown(report, food):
    shown = {name: exhibit(one) for name, one in report["exhibits"].items()}
    of_last_part = [shown[name] for name in ("rouge", "lengths", "failures", "examples")]
    assert [one.kind for one in of_last_part] == ["bars", "lines", "table", "table"]
    assert all("test" in one.title for one in of_last_part)
    bars = shown["rouge"].bars
    assert list(bars) == ["model", "lead_3", "longest_sentence"]
    assert bars["model"][0] == report["parts"]["test"]["rouge"]["rouge1"]["model"]
    lines = {line.name: line for line in shown["lengths"].lines}
    assert set(lines) == {"model", "reference"}
    assert all(sum(line.y) == pytest.approx(1.0) for line in lines.values())


def test_examples_are_the_best_the_worst_and_some(report, food):
    table = exhibit(report["exhibits"]["examples"])
    assert table.columns == ("kind", "id", "dialogue", "reference", "summary", "rouge_sum")
    kinds = [row[0] for row in table.rows]
    assert kinds == ["best"] * 5 + ["worst"] * 5 + ["random"] * 5
    sums = [row[-1] for row in table.rows]
    assert sums[:5] == sorted(sums[:5], reverse=True)
    assert sums[5:10] == sorted(sums[5:10])
    assert sums[0] >= max(sums[5:])
    dialogues = dict(zip(food.ids("test"), food.dialogues("test"), strict=True))
    for _, name, dialogue, _, summary, scored in table.rows:
        assert dialogue == dialogues[name]
        references = food.references("test")[food.ids("test").index(name)]
        found = rouge([summary], [references], tokenizer="words", combine="max").sum()
        assert scored == round(float(found), 4)


def test_a_model_below_the_floors_is_named(tmp_path, tiny_bart, caplog):
    data = write_split(tmp_path / "s", rows(8), rows(4, start=8))
    config = config_of(tiny_bart, generation={"beams": 1, "max_new_tokens": 6})
    module = trained(config, data, steps=0)
    checkpoint = write_checkpoint(tmp_path / "c", module, config, data)
    found = evaluate(checkpoint, data)["parts"]["valid"]
    assert "the model is BELOW both baselines: it is broken or undertrained" in found["verdict"]
    assert found["verdict"] in caplog.text
    assert found["empty_share"] == 1.0
    assert "100.0% of the summaries are empty" in found["notes"][0]


def test_summaries_without_an_end_are_counted(tmp_path, tiny_bart):
    data = write_split(tmp_path / "s", rows(8), rows(4, start=8))
    config = config_of(tiny_bart, generation={"beams": 1, "max_new_tokens": 6, "min_new_tokens": 6})
    checkpoint = write_checkpoint(tmp_path / "c", trained(config, data, steps=0), config, data)
    found = evaluate(checkpoint, data)["parts"]["valid"]
    assert found["cut_share"] == 1.0
    assert "had not ended at generation.max_new_tokens" in found["notes"][-1]


def test_failures_are_counted_by_hand():
    """A summary may fail in two ways; the second reference is the longest."""
    dialogue = "#Person1#: Hello, I want milk please.\n#Person2#: Take tea as well."
    texts = {
        "": {"empty"},
        "Person1 asks for milk and tea.": set(),
        "Hello, I want milk please. #Person2#": {"copied"},
        "want milk": {"copied"},  # shorter than a run
        "They talk " + "of milk and tea " * 3: {"long"},
        lead_3(dialogue): {"copied", "long"},
    }
    references = [["Milk.", "They talk of milk."]] * len(texts)
    is_cut = np.arange(len(texts)) == 4
    written = GeneratedTexts(list(texts), is_cut, 0.0)
    found = failures(written, [dialogue] * len(texts), references)
    assert list(found) == ["empty", "cut", "long", "copied"]
    for row, expected in enumerate(texts.values()):
        assert {kind for kind, mask in found.items() if mask[row] and kind != "cut"} == expected
    assert found["cut"].tolist() == is_cut.tolist()


def test_summaries_that_fail_are_in_the_report(report, food):
    part = report["parts"]["test"]
    table = exhibit(report["exhibits"]["failures"])
    assert [row[0] for row in table.rows] == [
        "empty",
        "no end at generation.max_new_tokens",
        "over twice as long as the longest reference",
        "copied from the dialogue",
    ]
    for name, row in zip(("empty", "cut", "long", "copied"), table.rows, strict=True):
        assert row[2] == round(part[f"{name}_share"], 4) == round(row[1] / part["rows"], 4)
        assert {*filter(None, row[3].split(", "))} <= {*food.ids("test")}


def test_another_split_is_said_and_other_data_refused(tmp_path, three, caplog):
    other = write_split(tmp_path / "s", rows(8), rows(4, start=8))
    evaluate(three["m1"], other)
    assert "was trained on another split" in caplog.text
    manifest = (other.path / "split.json").read_text()
    (other.path / "split.json").write_text(manifest.replace("0" * 64, "1" * 64))
    with pytest.raises(ArtifactError, match="trained on another data set"):
        evaluate(three["m1"], type(other).open(other.path))


def test_korean_is_scored_on_morphemes(tmp_path):
    """From the configuration to the report: what members and floors are compared by as well."""
    said = ("차", "우유", "빵", "밥", "국", "떡")
    talks = [
        (f"#Person1#: {one}를 주세요.\n#Person2#: 네.", [f"#Person1#은 {one}를 산다."])
        for one in said
    ]
    data = write_split(tmp_path / "s", talks[:4], talks[4:])
    folder = make_model(tmp_path / "m", "kobart", talks)
    config = config_of(
        folder,
        evaluation={"tokenizer": "morphemes"},
        generation={"beams": 1, "max_new_tokens": 8, "min_new_tokens": 8},
    )
    checkpoint = write_checkpoint(tmp_path / "c", trained(config, data, steps=30), config, data)
    report = evaluate(checkpoint, data)
    assert "Korean morphemes (Kiwi)" in report["protocol"]
    found = report["parts"]["valid"]["rouge"]
    for name, texts in baseline_summaries(data.dialogues("valid")).items():
        own = named(rouge(texts, data.references("valid"), tokenizer="morphemes", combine="max"))
        assert {metric: values[name] for metric, values in found.items()} == own
        words = named(rouge(texts, data.references("valid"), tokenizer="words", combine="max"))
        assert own["rouge1"] > words["rouge1"]  # the particle no longer hides the noun
    assert 0 < found["rouge_sum"]["model"] <= 3
    assert exhibit(report["exhibits"]["rouge"]).y == "F1 on morphemes"


def test_differences_to_the_floors_and_segments_by_length(report):
    shown = {name: exhibit(one) for name, one in report["exhibits"].items()}
    rows = [row[:3] for row in shown["comparisons"].rows]
    floors = ("lead_3", "longest_sentence")
    assert rows == [(part, "model", name) for part in ("valid", "test") for name in floors]
    means = {row[0]: row[4] for row in shown["comparisons"].rows if row[2] == "lead_3"}
    for part, difference in means.items():
        row = report["parts"][part]["rouge"]["rouge_sum"]
        assert difference == pytest.approx(row["model"] - row["lead_3"], abs=1e-8)
    table = shown["segments"]
    sizes = {row[1]: row[3] for row in table.rows if row[0] == "test" and row[4] == "model"}
    assert sum(sizes.values()) == report["parts"]["test"]["rows"]
    assert set(sizes) <= {"short dialogues", "medium dialogues", "long dialogues"}
