"""From a name to a model: rows for new tokens, what generation inherits, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.tasks.summarize.auto_values import resolve_auto
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.decoder import Decoder, make_batches, pad_of
from seqtune.tasks.summarize.model import (
    build_model,
    fill,
    open_tokenizer,
    restored_model,
    source,
    weights_of,
    write_model_assets,
)
from seqtune.tasks.summarize.params import GenerationConfig, SummarizeConfig
from seqtune.text.pretrained import identity, load_model, load_tokenizer
from tiny_models import make_kobart

from .examples import config_of, make_model, rows, write_split


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def kobart(folder: Path) -> Path:
    return make_model(folder / "kobart", "kobart", rows(10))


@pytest.fixture(scope="module")
def llama(folder: Path) -> Path:
    return make_model(folder / "llama", "llama", rows(10))


@pytest.fixture(scope="module")
def split(folder: Path) -> SummarizeData:
    return write_split(folder / "split", rows(6), rows(4, start=6))


def settled(config: SummarizeConfig, split: SummarizeData) -> Resolved[SummarizeConfig]:
    return resolve_auto(Resolved(config, {}), split)


def test_new_tokens_begin_as_the_mean_of_their_pieces(kobart: Path, split: SummarizeData) -> None:
    config = config_of(kobart)
    speech = open_tokenizer(config, split)
    plain = load_model("AutoModelForSeq2SeqLM", kobart).get_input_embeddings().weight
    table = build_model(config, split).get_input_embeddings().weight
    assert len(table) == len(speech.tokenizer) > speech.tokenizer.vocab_size
    assert table[: len(plain)].equal(plain)
    for token, pieces in zip(speech.tokens, speech.pieces.values(), strict=True):
        torch.testing.assert_close(table[token], plain[pieces].mean(0))


@pytest.mark.parametrize("adapters", [False, True])
def test_building_twice_gives_the_same_weights(
    llama: Path, split: SummarizeData, adapters: bool
) -> None:
    """Whatever was drawn before."""
    config = config_of(llama, model={"lora": {"enabled": adapters}})
    torch.manual_seed(1)
    first = weights_of(build_model(config, split))
    torch.manual_seed(2)
    second = weights_of(build_model(config, split))
    assert all(first[name].equal(second[name]) for name in first)


def test_a_summary_ends_with_the_true_end(
    kobart: Path, split: SummarizeData, tmp_path: Path
) -> None:
    """KoBART's configuration forces <usr>, id 2, at the end of whatever is generated."""
    assert AutoConfig.from_pretrained(kobart).to_dict()["forced_eos_token_id"] == 2
    config = config_of(kobart)
    model = build_model(config, split).eval()
    write_model_assets(tmp_path, config, split)
    restored, tokenizer, kind = restored_model(tmp_path, config, weights_of(model), device="cpu")
    batch = make_batches([[5, 6, 7]], pad=pad_of(tokenizer), size=1, kind=kind, device="cpu")[0]
    settings = GenerationConfig(beams=1, max_new_tokens=6, min_new_tokens=6)
    for one in (model, restored.eval()):
        written = Decoder.of(one, tokenizer, kind).tokens(batch, settings, seed=0)
        assert written.shape == (1, 6)
        assert 2 not in written
    assert tokenizer.eos_token_id != 2


def test_from_scratch_takes_no_weights(kobart: Path, split: SummarizeData) -> None:
    config = config_of(kobart, model={"from_scratch": True})
    model, again = build_model(config, split), build_model(config, split)
    trained = load_model("AutoModelForSeq2SeqLM", kobart)
    name = "model.encoder.layers.0.fc1.weight"
    assert model.state_dict()[name].equal(again.state_dict()[name])
    assert not model.state_dict()[name].equal(trained.state_dict()[name])
    other = build_model(config.model_copy(update={"seed": 7}), split)
    assert not model.state_dict()[name].equal(other.state_dict()[name])


@pytest.mark.parametrize("scratch", [False, True])
@pytest.mark.parametrize("name", ["kobart", "llama"])
def test_assets_and_weights_are_enough(
    name: str, scratch: bool, request: pytest.FixtureRequest, split: SummarizeData, tmp_path: Path
) -> None:
    """The checkpoint opens although the model it came from is gone."""
    config = config_of(request.getfixturevalue(name), model={"from_scratch": scratch})
    model = build_model(config, split).eval()
    write_model_assets(tmp_path, config, split)
    gone = config_of(tmp_path / "nowhere")
    found, tokenizer, kind = restored_model(tmp_path, gone, weights_of(model), device="cpu")
    assert kind == ("seq2seq" if name == "kobart" else "causal")
    ids = torch.tensor([tokenizer.encode("#Person1#: milk")])
    more = {"decoder_input_ids": ids} if kind == "seq2seq" else {}
    with torch.no_grad():
        assert found.eval()(ids, **more).logits.equal(model(ids, **more).logits)
    assert tokenizer.get_vocab() == open_tokenizer(config, split).tokenizer.get_vocab()


def test_tied_weights_are_saved_once(kobart: Path, split: SummarizeData) -> None:
    model = build_model(config_of(kobart), split)
    tables = [n for n, w in weights_of(model).items() if w.shape == model.lm_head.weight.shape]
    assert len(tables) == 1


def test_weights_that_do_not_fit_are_refused(kobart: Path, split: SummarizeData) -> None:
    model = build_model(config_of(kobart), split)
    weights = {name: tensor.clone() for name, tensor in weights_of(model).items()}
    name = next(iter(weights))
    with pytest.raises(ArtifactError, match="1 missing"):
        fill(model, {key: value for key, value in weights.items() if key != name})
    with pytest.raises(ArtifactError, match="1 unknown"):
        fill(model, {**weights, "else": weights[name]})
    with pytest.raises(ArtifactError, match="1 of another shape"):
        fill(model, {**weights, name: weights[name][..., :1]})


def test_settling_writes_down_content_and_kind(
    kobart: Path, llama: Path, split: SummarizeData
) -> None:
    found = settled(config_of(kobart), split)
    assert found.config.model.revision == identity(kobart)
    assert found.config.model.kind == "seq2seq"
    assert str(kobart) in found.origins["model.revision"]
    assert settled(config_of(llama), split).config.model.kind == "causal"


def test_a_tokeniser_of_another_model_is_refused(
    kobart: Path, split: SummarizeData, tmp_path: Path
) -> None:
    texts = [f"word{number} {number * 7919}" for number in range(3000)]
    other = load_tokenizer(make_kobart(tmp_path / "other", texts))
    model = load_model("AutoModelForSeq2SeqLM", kobart)
    model.save_pretrained(tmp_path / "mixed")
    other.save_pretrained(tmp_path / "mixed")
    assert len(other) > model.config.vocab_size
    with pytest.raises(ConfigurationError, match="do not match"):
        settled(config_of(tmp_path / "mixed"), split)


def test_lengths_beyond_the_positions_are_refused(
    kobart: Path, llama: Path, split: SummarizeData
) -> None:
    long = {"max_input_length": 1027, "max_target_length": 1022}
    with pytest.raises(ConfigurationError, match=r"max_input_length=1027 .* \(1026\)") as caught:
        settled(config_of(kobart, preprocess=long), split)
    assert "max_target_length" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"=2049 is more than .* \(2048\)"):
        settled(config_of(llama, preprocess=long), split)


def test_a_prompt_that_leaves_no_room_is_refused(llama: Path, split: SummarizeData) -> None:
    with pytest.raises(ConfigurationError, match="leaves no room for a dialogue"):
        settled(config_of(llama, preprocess={"max_input_length": 16}), split)


def test_adapters_on_random_weights_are_refused(llama: Path, split: SummarizeData) -> None:
    config = config_of(llama, model={"from_scratch": True, "lora": {"enabled": True}})
    with pytest.raises(ConfigurationError, match=r"from_scratch=true with lora\.enabled=true"):
        settled(config, split)


def test_a_missing_model_is_said_with_its_key(split: SummarizeData, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"summarize\.model\.name='.*no-such"):
        source(config_of(tmp_path / "no-such"))


def test_base_is_named_where_there_are_adapters(
    llama: Path, split: SummarizeData, tmp_path: Path
) -> None:
    config = config_of(llama, model={"lora": {"enabled": True}})
    write_model_assets(tmp_path, config, split)
    base: dict[str, Any] = json.loads((tmp_path / "base.json").read_text())
    assert base["name"] == str(llama)
    assert base["revision"] == identity(llama)
    assert base["tokens"] == open_tokenizer(config, split).tokens


@pytest.mark.parametrize("asked", ["none", "both", "paraphrase"])
def test_an_augmentation_that_the_split_holds(kobart: Path, tmp_path: Path, asked: str) -> None:
    made = {"paraphrase": []}  # made, though nothing came of it
    data = write_split(tmp_path / "s", rows(6), rows(4, start=6), made=made)
    settled(config_of(kobart, preprocess={"augmentation": asked}), data)


@pytest.mark.parametrize(
    ("made", "holds"), [((), "none that were made up"), (("paraphrase",), "paraphrase")]
)
def test_an_augmentation_that_the_split_does_not_hold(
    kobart: Path, tmp_path: Path, made: tuple[str, ...], holds: str
) -> None:
    data = write_split(
        tmp_path / "s", rows(6), rows(4, start=6), made=dict.fromkeys(made, rows(2, start=10))
    )
    with pytest.raises(ConfigurationError) as caught:
        settled(config_of(kobart, preprocess={"augmentation": "backtranslation"}), data)
    said = str(caught.value)
    assert f"holds no rows made by backtranslation (it holds {holds})" in said
    assert "Set summarize.split.augmentation=backtranslation or both" in said
    assert "run split again" in said


def test_from_scratch_needs_no_weights(kobart: Path, split: SummarizeData, tmp_path: Path) -> None:
    copy = shutil.copytree(kobart, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="its weights are pickled"):
        settled(config_of(copy), split)
    config = settled(config_of(copy, model={"from_scratch": True}), split).config
    assert build_model(config, split).num_parameters() > 0
    (copy / "pytorch_model.bin").unlink()
    build_model(config_of(copy, model={"from_scratch": True}), split)
