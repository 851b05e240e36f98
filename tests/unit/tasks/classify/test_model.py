"""A pretrained encoder with a head: what is trained, what is refused, what padding changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.tasks.classify.auto_values import resolve_auto
from seqtune.tasks.classify.model import (
    TextClassifier,
    build_classifier,
    empty_encoder,
    num_positions,
    outline,
)
from seqtune.tasks.classify.params import ClassifyConfig, ModelConfig
from seqtune.text.pretrained import identity, load_model, load_tokenizer

from .examples import make_model, make_split, tiny_config

KINDS = ("electra", "bert", "roberta")


def model_config(folder: Path, **values: Any) -> ModelConfig:
    return tiny_config(folder, model=values).model


def built(config: ModelConfig, *, seed: int = 0) -> TextClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build_classifier(config, num_labels=3)


def a_batch(*, width: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Two texts of 9 and 4 tokens."""
    ids = torch.zeros(2, width, dtype=torch.int64)
    real = torch.zeros(2, width, dtype=torch.bool)
    for row, length in enumerate((9, 4)):
        ids[row, :length] = torch.arange(5, 5 + length)
        real[row, :length] = True
    return ids, real


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_padding_changes_no_logits(tmp_path: Path, kind: str, pooling: str) -> None:
    folder = make_model(tmp_path / "m", kind)
    pad = json.loads((folder / "config.json").read_text())["pad_token_id"]
    model = built(model_config(folder, pooling=pooling)).eval()
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    ids, real = a_batch(width=20)
    with torch.no_grad():
        padded = model(ids.masked_fill(~real, pad), real)
        alone = [model(ids[r : r + 1, :n], real[r : r + 1, :n]) for r, n in enumerate((9, 4))]
    torch.testing.assert_close(padded, torch.cat(alone), atol=1e-5, rtol=1e-5)
    assert (padded[0] - padded[1]).abs().max() > 1e-2  # the two texts do differ


def test_the_mean_is_over_real_tokens_and_the_first_is_the_first(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    ids, real = a_batch()
    for pooling in ("first", "mean"):
        model = built(model_config(folder, pooling=pooling)).eval()
        with torch.no_grad():
            hidden = model.encoder(input_ids=ids, attention_mask=real.long()).last_hidden_state
            pooled = hidden[1, 0] if pooling == "first" else hidden[1, :4].mean(0)
            torch.testing.assert_close(model(ids, real)[1], model.head(pooled))


@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_from_the_weights_of_the_folder_and_drops_out(tmp_path: Path, kind: str) -> None:
    folder = make_model(tmp_path / "m", kind)
    assert not load_model("AutoModel", folder).training  # the trap
    model = built(model_config(folder))
    stored = load_file(folder / "model.safetensors")
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, stored[name]), name
    assert all(part.training for part in model.modules())
    assert not torch.equal(model(*a_batch()), model(*a_batch()))
    model.eval()
    assert torch.equal(model(*a_batch()), model(*a_batch()))


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_trained(tmp_path: Path, kind: str) -> None:
    """One that never gets a gradient (a pooling layer) would stop several devices."""
    model = built(model_config(make_model(tmp_path / "m", kind)))
    model(*a_batch()).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_from_scratch_takes_the_architecture_alone(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    config = model_config(folder, from_scratch=True)
    first, again, other = (built(config, seed=seed) for seed in (1, 1, 2))
    name = "embeddings.word_embeddings.weight"
    stored = load_file(folder / "model.safetensors")[name]
    weights = [model.encoder.state_dict()[name] for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].shape == stored.shape
    assert not torch.equal(weights[0], stored)


def test_weights_that_lack_a_part_of_the_encoder_are_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    path = folder / "model.safetensors"
    kept = {n: t for n, t in load_file(path).items() if ".layer.1." not in n}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"lacks weights .*layer\.1\..* more"):
        built(model_config(folder))
    built(model_config(folder, from_scratch=True))


def test_a_model_stored_in_half_precision_is_trained_in_whole(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "dtype": "float16"}))
    assert {p.dtype for p in built(model_config(folder)).parameters()} == {torch.float32}
    assert {p.dtype for p in empty_encoder(folder).parameters()} == {torch.float32}


def test_a_frozen_encoder_gets_no_gradients_and_drops_nothing(tmp_path: Path) -> None:
    model = built(model_config(make_model(tmp_path / "m"), freeze_encoder=True, dropout_rate=0.0))
    model.train()
    assert torch.equal(model(*a_batch()), model(*a_batch()))
    model(*a_batch()).sum().backward()
    trained = [name for name, p in model.named_parameters() if p.grad is not None]
    assert trained == ["head.weight", "head.bias"]


@pytest.mark.parametrize("kind", KINDS)
def test_computing_layers_again_changes_neither_loss_nor_gradients(
    tmp_path: Path, kind: str
) -> None:
    folder = make_model(tmp_path / "m", kind)
    found = []
    for again in (False, True):
        model = built(model_config(folder, gradient_checkpointing=again))
        torch.manual_seed(3)
        loss = model(*a_batch()).square().sum()
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert built(
        model_config(folder, gradient_checkpointing=True)
    ).encoder.is_activation_checkpointing


def resolved(folder: Path, **model: Any) -> Resolved[ClassifyConfig]:
    return Resolved(tiny_config(folder, model=model), {})


def test_settling_writes_down_the_content_of_the_model(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    settled = resolve_auto(resolved(folder), None)
    assert settled.config.model.revision == identity(folder)
    assert settled.origins["model.revision"] == f"content of {folder} now"
    assert resolve_auto(settled, None) == settled


def test_pooling_is_what_the_files_of_the_model_say(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    assert resolve_auto(resolved(folder, pooling="auto"), None).config.model.pooling == "first"
    file = folder / "1_Pooling" / "config.json"
    file.parent.mkdir()
    flags = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    for said in (flags, {"pooling_mode": "mean"}):
        file.write_text(json.dumps({"word_embedding_dimension": 32, **said}))
        settled = resolve_auto(resolved(folder, pooling="auto"), None)
        assert settled.config.model.pooling == "mean"
        assert settled.origins["model.pooling"] == "auto: by the model's 1_Pooling/config.json"


def test_the_length_is_that_of_nearly_all_training_texts(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    short, long = ("bread and ball", [1, 1, 0]), ("bread " * 700, [1, 0, 0])
    tokens = len(load_tokenizer(folder)(short[0])["input_ids"])
    for texts, length in (([short] * 200 + [long], tokens), ([short] * 9 + [long], 512)):
        data = make_split(tmp_path / f"split-{length}", train=texts)
        settled = resolve_auto(resolved(folder, max_length="auto"), data)
        assert settled.config.model.max_length == length
        assert settled.origins["model.max_length"].startswith("auto: 99% of the training texts")


def test_a_head_on_a_random_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="from_scratch=true with freeze_encoder=true"):
        model_config(make_model(tmp_path / "m"), from_scratch=True, freeze_encoder=True)


@pytest.mark.parametrize(("kind", "limit"), [("electra", 512), ("bert", 512), ("roberta", 512)])
def test_texts_longer_than_the_positions_are_refused(tmp_path: Path, kind: str, limit: int) -> None:
    """RoBERTa has 514 in its configuration, two of which no token can have."""
    folder = make_model(tmp_path / "m", kind)
    assert num_positions(outline(folder)) == limit
    resolve_auto(resolved(folder, max_length=limit), None)
    message = rf"classify\.model\.max_length={limit + 1}, .* {limit} tokens; choose at most {limit}"
    with pytest.raises(ConfigurationError, match=message):
        resolve_auto(resolved(folder, max_length=limit + 1), None)


def test_the_longest_text_allowed_does_go_through_roberta(tmp_path: Path) -> None:
    model = built(model_config(make_model(tmp_path / "m", "roberta"))).eval()
    ids = torch.full((1, 512), 7)
    assert model(ids, torch.ones_like(ids, dtype=torch.bool)).isfinite().all()


@pytest.mark.parametrize("kind", ["kobart", "llama"])
def test_what_is_no_encoder_is_refused(tmp_path: Path, kind: str) -> None:
    folder = make_model(tmp_path / "m", kind)
    with pytest.raises(
        ConfigurationError, match="not a bidirectional encoder; choose one like BERT"
    ):
        resolve_auto(resolved(folder), None)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "vocab_size": 20}))
    with pytest.raises(ConfigurationError, match="they do not match"):
        resolve_auto(resolved(folder), None)


def test_an_encoder_that_cannot_compute_layers_again_is_named(tmp_path: Path) -> None:
    from transformers import AlbertConfig, AlbertModel

    folder = make_model(tmp_path / "m")
    sizes = {"hidden_size": 16, "embedding_size": 8, "num_attention_heads": 2}
    vocabulary = len(load_tokenizer(folder))
    albert = AlbertModel(AlbertConfig(vocab_size=vocabulary, intermediate_size=32, **sizes))
    albert.save_pretrained(folder)
    resolve_auto(resolved(folder, gradient_checkpointing=False), None)
    with pytest.raises(ConfigurationError, match="no effect on AlbertModel"):
        resolve_auto(resolved(folder, gradient_checkpointing=True), None)
