"""Tokens of pairs, what is cut, and batches for both kinds of models."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtune.core.errors import InfeasibleError
from seqtune.tasks.summarize import encoding
from seqtune.tasks.summarize.batches import IGNORED, TrainBatches, WriteBatches
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.datamodule import build_data
from seqtune.tasks.summarize.encoding import encoder, pairs, require_fit, truncation
from seqtune.tasks.summarize.memory import estimate_memory
from seqtune.tasks.summarize.model import open_tokenizer, plain_tokenizer
from seqtune.tasks.summarize.prompts import prompt_of
from seqtune.text.pretrained import load_config

from .examples import config_of, make_model, rows, write_split

ALL = np.arange(6)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make_model(folder / name, name, rows(20)) for name in ("kobart", "llama")}


@pytest.fixture
def split(tmp_path: Path) -> SummarizeData:
    return write_split(tmp_path / "split", rows(6), rows(4, start=6))


def test_labels_of_an_encoder_decoder_end_with_the_end(
    models: dict[str, Path], split: SummarizeData
) -> None:
    """KoBART's tokeniser adds nothing: without </s> a model never learns to stop."""
    config = config_of(models["kobart"])
    of = pairs(config, split, "train")
    tokenizer = open_tokenizer(config, split).tokenizer
    batch = TrainBatches(of, kind="seq2seq", pad=tokenizer.pad_token_id)[ALL]
    for row, labels in enumerate(batch.labels.tolist()):
        text = [label for label in labels if label != IGNORED]
        assert text[-1] == tokenizer.eos_token_id
        assert text.count(tokenizer.eos_token_id) == 1
        assert tokenizer.decode(text[:-1]) == split.references("train")[row][0]
        assert tokenizer.decode(batch.ids[row][batch.mask[row]]) == split.dialogues("train")[row]


def test_a_large_vocabulary_has_fewer_rows_at_once(
    models: dict[str, Path], split: SummarizeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits of 32 rows of 100 tokens in a vocabulary of 262,144 would be 3 GiB, several times."""
    config = config_of(models["llama"], evaluation={"batch_size": 4})
    longest = pairs(config, split, "valid").targets.lengths.max()
    num_tokens = load_config(models["llama"]).vocab_size
    for rows_that_fit, batches in ((4, [4]), (2, [2, 2]), (0, [1, 1, 1, 1])):
        monkeypatch.setattr(
            "seqtune.tasks.summarize.batches.LOGITS_AT_ONCE", rows_that_fit * longest * num_tokens
        )
        losses = build_data(config, split).val_dataloader()[1]
        assert [len(batch.ids) for batch in losses] == batches


def test_a_long_summary_is_cut_and_still_ends(
    models: dict[str, Path], split: SummarizeData
) -> None:
    config = config_of(models["kobart"], preprocess={"max_target_length": 5})
    targets = pairs(config, split, "train").targets
    assert set(targets.lengths.tolist()) == {5}
    assert set(targets.ids[4::5].tolist()) == {open_tokenizer(config, split).tokenizer.eos_token_id}


def test_the_loss_of_a_causal_model_is_on_the_answer_alone(
    models: dict[str, Path], split: SummarizeData
) -> None:
    config = config_of(models["llama"])
    tokenizer = open_tokenizer(config, split).tokenizer
    of = pairs(config, split, "train")
    batch = TrainBatches(of, kind="causal", pad=tokenizer.pad_token_id)[ALL]
    for row in range(6):
        answer = batch.labels[row] != IGNORED
        dialogue, summary = split.dialogues("train")[row], split.references("train")[row][0]
        assert tokenizer.decode(batch.labels[row][answer]) == f"{summary}<|end|>"
        assert batch.ids[row][answer].tolist() == batch.labels[row][answer].tolist()
        text = tokenizer.decode(batch.ids[row][batch.mask[row]])
        assert text.endswith(f"{dialogue}<|end|>\n<|assistant|>\n{summary}<|end|>")
        assert batch.mask[row].tolist() == sorted(batch.mask[row].tolist(), reverse=True)
    assert batch.first == min((batch.labels != IGNORED).int().argmax(1)).item()


def test_a_cut_prompt_keeps_its_template(models: dict[str, Path], split: SummarizeData) -> None:
    config = config_of(models["llama"])
    tokenizer = open_tokenizer(config, split).tokenizer
    prompt = prompt_of(tokenizer, config.model)
    short = config_of(models["llama"], preprocess={"max_input_length": prompt.length + 4})
    inputs = pairs(short, split, "train").inputs
    assert set(inputs.lengths.tolist()) == {prompt.length + 4}
    first = inputs.ids[: prompt.length + 4].tolist()
    assert tuple(first[: len(prompt.before)]) == prompt.before
    assert tuple(first[-len(prompt.after) :]) == prompt.after


def test_a_causal_model_writes_after_padding_on_the_left(
    models: dict[str, Path], split: SummarizeData
) -> None:
    inputs = pairs(config_of(models["llama"]), split, "valid").inputs
    batch = WriteBatches(inputs, np.array([3, 1]), kind="causal", pad=0)[np.array([0, 1])]
    assert batch.rows.tolist() == [3, 1]
    assert batch.mask[:, -1].all()
    right = WriteBatches(inputs, np.array([3, 1]), kind="seq2seq", pad=0)[np.array([0, 1])]
    assert right.mask[:, 0].all()


@pytest.mark.parametrize("name", ["kobart", "llama"])
@pytest.mark.parametrize("limit", [60, 256])
def test_new_dialogues_are_read_like_those_of_the_split(
    models: dict[str, Path], split: SummarizeData, name: str, limit: int
) -> None:
    config = config_of(models[name], preprocess={"max_input_length": limit})
    inputs = pairs(config, split, "valid").inputs
    tokenizer = open_tokenizer(config, split).tokenizer
    kind = "causal" if name == "llama" else "seq2seq"
    found = encoder(config, tokenizer, kind).fitting(split.dialogues("valid"))
    cuts = np.split(np.asarray(inputs.ids), inputs.offsets[1:-1])
    assert found == [ids.tolist() for ids in cuts]
    assert max(map(len, found)) <= limit


def test_no_dialogue_is_left_without_a_token(models: dict[str, Path], split: SummarizeData) -> None:
    config = config_of(models["kobart"])
    tokenizer = open_tokenizer(config, split).tokenizer
    assert encoder(config, tokenizer, "seq2seq").fitting([" "]) == [[tokenizer.eos_token_id]]


def test_too_many_cut_dialogues_stop_before_a_model_is_loaded(
    models: dict[str, Path], split: SummarizeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(models["kobart"], preprocess={"max_input_length": 25})
    with pytest.raises(InfeasibleError, match=r"max_input_length=\d+ would do") as caught:
        require_fit(config, split)
    said = str(caught.value)
    assert "dialogues in train" in said
    assert "max_input_length=25" in said
    assert "p95" in said
    assert caught.value.constraint == "truncation"
    assert caught.value.violation > 0
    fits = int(said.rpartition("max_input_length=")[2].split()[0])
    require_fit(config_of(models["kobart"], preprocess={"max_input_length": fits}), split)
    with pytest.raises(InfeasibleError, match="would be cut"):
        build_data(config, split)
    from seqtune.tasks.summarize import module

    monkeypatch.setattr(module, "build_model", pytest.fail)
    with pytest.raises(InfeasibleError, match="would be cut"):
        module.build_module(config, split)


def test_the_audit_counts_whole_lengths(models: dict[str, Path], split: SummarizeData) -> None:
    short = config_of(models["kobart"], preprocess={"max_input_length": 25})
    whole = pairs(config_of(models["kobart"]), split, "train").inputs.lengths
    found = truncation(short, split)
    assert set(found) == {"train", "valid"}
    assert found["train"]["longer"] == int((whole > 25).sum())
    assert found["train"]["tokens_cut"] == int((whole - 25).clip(0).sum())


def test_tokens_are_made_once_for_what_they_depend_on(
    models: dict[str, Path], split: SummarizeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(models["kobart"])
    first = pairs(config, split, "train").inputs.ids.tolist()
    written: list[Any] = []
    real = encoding.write_tokens
    monkeypatch.setattr(
        encoding, "write_tokens", lambda *args, **options: written.append(real(*args, **options))
    )
    assert pairs(config, split, "train").inputs.ids.tolist() == first
    same = config_of(models["kobart"], training={"lr": 0.5}, model={"instruction": "Else?"})
    pairs(same, split, "train")
    assert not written
    pairs(config_of(models["kobart"], preprocess={"person_tokens": "simplify"}), split, "train")
    assert len(written) == 2


def test_the_sample_to_summarise_is_fixed(models: dict[str, Path], split: SummarizeData) -> None:
    config = config_of(models["kobart"], evaluation={"max_rows": 3, "train_metric_rows": 2})
    loaders = build_data(config, split).val_dataloader()
    first = [batch.rows.tolist() for batch in loaders[0]]
    assert first == [batch.rows.tolist() for batch in loaders[0]]
    assert sum(map(len, first)) == 3
    assert sum(len(batch.ids) for batch in loaders[1]) == 4
    assert sum(len(batch.rows) for batch in loaders[2]) == 2


def test_every_row_is_trained_on_once_an_epoch(
    models: dict[str, Path], split: SummarizeData
) -> None:
    loader = build_data(config_of(models["llama"]), split).train_dataloader()
    assert sum(len(batch.ids) for batch in loader) == 6


def test_a_tokeniser_without_padding_pads_with_its_end(
    models: dict[str, Path], tmp_path: Path
) -> None:
    from seqtune.text.pretrained import load_tokenizer

    tokenizer = load_tokenizer(models["llama"])
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    found = plain_tokenizer(tmp_path, "causal")
    assert found.pad_token_id == found.eos_token_id


@pytest.fixture
def enlarged(tmp_path: Path) -> SummarizeData:
    """6 dialogues, 2 paraphrased and 3 translated, which also speak of a #Place#."""
    long = [(f"{dialogue} #Place# again" * 3, own) for dialogue, own in rows(3, start=13)]
    made = {"paraphrase": rows(2, start=11), "backtranslation": long}
    return write_split(tmp_path / "enlarged", rows(6), rows(4, start=6), made=made)


@pytest.mark.parametrize(
    ("augmentation", "count"),
    [("none", 6), ("paraphrase", 8), ("backtranslation", 9), ("both", 11)],
)
def test_training_takes_the_rows_it_is_told_to(
    models: dict[str, Path], enlarged: SummarizeData, augmentation: str, count: int
) -> None:
    config = config_of(
        models["kobart"],
        preprocess={"augmentation": augmentation, "max_target_length": 32},
        evaluation={"train_metric_rows": 100, "max_rows": 4},
    )
    loaders = build_data(config, enlarged)
    assert sum(len(batch.ids) for batch in loaders.train_dataloader()) == count
    assert truncation(config, enlarged)["train"]["texts"] == count
    takes_place = augmentation in ("backtranslation", "both")
    assert ("#Place#" in open_tokenizer(config, enlarged).pieces) == takes_place
    # what is looked at is the same whatever is trained on: the user's own
    seen = [row for batch in loaders.val_dataloader()[2] for row in batch.rows.tolist()]
    assert sorted(seen) == list(range(6))
    inputs = pairs(config, enlarged, "train").inputs
    own = encoder(config, open_tokenizer(config, enlarged).tokenizer, "seq2seq").fitting(
        enlarged.dialogues("train", augmentation="none")
    )
    assert [inputs.ids[a:b].tolist() for a, b in pairwise(inputs.offsets[:7])] == own


def test_only_rows_that_are_taken_can_be_too_long_or_take_memory(
    models: dict[str, Path], enlarged: SummarizeData
) -> None:
    limit = int(pairs(config_of(models["kobart"]), enlarged, "valid").inputs.lengths.max()) + 8
    short = {"max_input_length": limit, "max_truncated_share": 0.0}
    require_fit(config_of(models["kobart"], preprocess={**short, "augmentation": "none"}), enlarged)
    needed = [
        estimate_memory(config_of(models["kobart"], preprocess={"augmentation": taken}), enlarged)
        for taken in ("none", "paraphrase", "backtranslation")
    ]
    assert needed[0] <= needed[1] < needed[2]
    with pytest.raises(InfeasibleError, match="3 of 9"):
        require_fit(
            config_of(models["kobart"], preprocess={**short, "augmentation": "backtranslation"}),
            enlarged,
        )


def test_where_nothing_was_made_up_tokens_are_shared(
    models: dict[str, Path], split: SummarizeData
) -> None:
    for augmentation in ("none", "both"):
        pairs(
            config_of(models["kobart"], preprocess={"augmentation": augmentation}), split, "train"
        )
    assert len(list((split.path / "made").glob("tokens-*"))) == 1
