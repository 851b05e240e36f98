"""What a way of decoding is worth: the same as writing under it, opened and encoded once."""

import pytest

from seqtune.core.errors import DataError
from seqtune.tasks.summarize import decoding_metrics as measuring
from seqtune.tasks.summarize.datamodule import build_data
from seqtune.tasks.summarize.decoding_metrics import DECODING_SECONDS, measure
from seqtune.tasks.summarize.params import GenerationConfig
from seqtune.tasks.summarize.rouge import named, rouge
from seqtune.tasks.summarize.scorer import load_network

from .checkpoint_folders import trained, write_checkpoint
from .examples import config_of, make_model, rows, write_split


def searched(config, **generation):
    return config.model_copy(update={"generation": GenerationConfig(**generation)})


def test_measured_is_what_that_configuration_writes(three, food, bart_config):
    config = searched(bart_config, beams=2, max_new_tokens=12)
    found = measure(three["m3"], food, config)
    sample = food.sample("valid", 4, seed=config.seed)
    dialogues, references = food.dialogues("valid"), food.references("valid")
    summarizer = load_network(three["m3"])
    batches = summarizer.batches([dialogues[row] for row in sample], size=4)
    texts = summarizer.write(batches, config.generation, seed=config.seed).texts
    scores = rouge(texts, [references[row] for row in sample], tokenizer="words", combine="max")
    seconds = found.pop(DECODING_SECONDS)
    assert found == named(scores, prefix="decoded_")
    assert 0 < seconds < 5
    assert found["decoded_rouge_sum"] > 0


def test_a_search_opens_a_checkpoint_and_encodes_once(three, food, bart_config, monkeypatch):
    opened_at, encoded = [], []
    real_open, real_encode = measuring.load_network, measuring.encode
    monkeypatch.setattr(measuring, "_opened", {})
    monkeypatch.setattr(
        measuring, "load_network", lambda path: opened_at.append(path) or real_open(path)
    )
    monkeypatch.setattr(
        measuring, "encode", lambda *given: encoded.append(1) or real_encode(*given)
    )
    first = measure(three["m1"], food, searched(bart_config, beams=1, max_new_tokens=12))
    measure(three["m1"], food, searched(bart_config, beams=3, max_new_tokens=5))
    again = measure(three["m1"], food, searched(bart_config, beams=1, max_new_tokens=12))
    assert (opened_at, len(encoded)) == ([three["m1"]], 1)
    assert {k: v for k, v in again.items() if k != DECODING_SECONDS} == {
        k: v for k, v in first.items() if k != DECODING_SECONDS
    }
    measure(three["m2"], food, searched(bart_config, beams=1, max_new_tokens=5))
    assert opened_at == [three["m1"], three["m2"]]
    assert len(measuring._opened) == 1  # the one before has gone


def test_what_does_not_fit_is_encoded_again(three, food, bart_config, monkeypatch):
    config = searched(bart_config, beams=2, max_new_tokens=12)
    monkeypatch.setattr(measuring, "_opened", {})
    whole = measure(three["m3"], food, config)
    monkeypatch.setattr(measuring, "_opened", {})
    monkeypatch.setattr(measuring, "MOST_ENCODED", 0)
    nothing_kept = measure(three["m3"], food, config)
    (found,) = measuring._opened.values()
    assert [batch.encoded for batch in found.batches] == [None]
    assert nothing_kept["decoded_rouge_sum"] == whole["decoded_rouge_sum"]


def test_a_causal_model_is_measured_too(tmp_path, food):
    config = config_of(make_model(tmp_path / "llama", "llama", rows(44)))
    module = trained(config, food, steps=3)
    checkpoint = write_checkpoint(tmp_path / "c", module, config, food)
    found = measure(checkpoint, food, searched(config, beams=1, max_new_tokens=5))
    assert set(found) == {
        "decoded_rouge1",
        "decoded_rouge2",
        "decoded_rougeL",
        "decoded_rouge_sum",
        "decoding_seconds_per_row",
    }
    assert all(batch.encoded is None for one in measuring._opened.values() for batch in one.batches)


def test_there_must_be_something_held_out(tmp_path, three, bart_config):
    data = write_split(tmp_path / "full", rows(8))
    with pytest.raises(DataError, match="no valid part to search decoding on"):
        measure(three["m1"], data, bart_config)


def test_training_looked_at_the_same_rows(food, bart_config):
    loader = build_data(bart_config, food).val_dataloader()[0]
    seen = sorted(row for batch in loader for row in batch.rows.tolist())
    assert seen == food.sample("valid", 4, seed=bart_config.seed).tolist()
    assert seen != food.sample("valid", 4, seed=bart_config.seed + 1).tolist()
