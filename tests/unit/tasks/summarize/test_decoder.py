"""Decoding: what is said counts and nothing else, with and without cached encoder outputs."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqtune.tasks.summarize.decoder import (
    Decoder,
    encode,
    greedy,
    make_batches,
    pad_of,
    write,
    write_all,
)
from seqtune.tasks.summarize.model import plain_tokenizer
from seqtune.tasks.summarize.params import GenerationConfig
from seqtune.tasks.summarize.scorer import load_network
from seqtune.tasks.summarize.stop_strings import before_stop, has_stop
from seqtune.text.pretrained import load_model

from .checkpoint_folders import trained, write_checkpoint
from .examples import config_of, make_model, rows

TEXTS = [dialogue for dialogue, _ in rows(5)]
WAYS = {
    "greedy": greedy(10),
    "beams": GenerationConfig(beams=3, max_new_tokens=10, min_new_tokens=4, length_penalty=2.0),
    "drawn": GenerationConfig(beams=1, do_sample=True, max_new_tokens=10, top_k=0),
    "drawn beams": GenerationConfig(beams=2, do_sample=True, max_new_tokens=10, temperature=0.7),
    "without repeats": GenerationConfig(beams=2, max_new_tokens=10, repetition_penalty=1.5),
}


def opened(folder, kind):
    auto = "AutoModelForSeq2SeqLM" if kind == "seq2seq" else "AutoModelForCausalLM"
    return load_model(auto, folder).eval(), plain_tokenizer(folder, kind)


@pytest.fixture(scope="module")
def bart(tiny_bart):
    """Random weights hardly listen to the encoder: those that listen are made larger."""
    model, tokenizer = opened(tiny_bart, "seq2seq")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "encoder_attn" in name:
                parameter.mul_(30.0)
    return model, tokenizer


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return opened(make_model(tmp_path_factory.mktemp("m") / "llama", "llama", rows(5)), "causal")


def inputs(pair, kind, *, size=2, texts=TEXTS):
    tokenizer = pair[1]
    ids = tokenizer(texts)["input_ids"]
    return make_batches(ids, pad=pad_of(tokenizer), size=size, kind=kind, device="cpu")


@pytest.mark.parametrize("way", WAYS)
def test_cached_encoder_outputs_change_nothing(bart, way):
    batches = inputs(bart, "seq2seq")
    plain = write_all(*bart, batches, WAYS[way], kind="seq2seq", seed=3)
    assert len(set(plain.texts)) > 1
    cached = [replace(batch, encoded=encode(bart[0], batch)) for batch in batches]
    for _ in range(2):  # what is cached is not used up
        found = write_all(*bart, cached, WAYS[way], kind="seq2seq", seed=3)
        assert found.texts == plain.texts
        assert np.array_equal(found.is_cut, plain.is_cut)


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_draws_follow_from_the_seed_alone(bart, llama, kind):
    pair = bart if kind == "seq2seq" else llama
    batches = inputs(pair, kind)
    state = torch.random.get_rng_state()
    first = write_all(*pair, batches, WAYS["drawn"], kind=kind, seed=1)
    torch.manual_seed(99)
    again = write_all(*pair, batches, WAYS["drawn"], kind=kind, seed=1)
    other = write_all(*pair, batches, WAYS["drawn"], kind=kind, seed=2)
    assert first.texts == again.texts
    assert first.texts != other.texts
    torch.random.set_rng_state(state)
    write_all(*pair, batches, WAYS["drawn"], kind=kind, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's draws are taken


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_rows_come_back_in_their_order_and_padding_changes_nothing(bart, llama, kind):
    pair = bart if kind == "seq2seq" else llama
    settings = GenerationConfig(beams=2, max_new_tokens=8, min_new_tokens=4)
    alone = write_all(*pair, inputs(pair, kind, size=1), settings, kind=kind)
    together = write_all(*pair, inputs(pair, kind, size=4), settings, kind=kind)
    assert alone.texts == together.texts
    assert alone.texts == [
        write_all(*pair, inputs(pair, kind, texts=[text]), settings, kind=kind).texts[0]
        for text in TEXTS
    ]
    assert len(set(alone.texts)) > 1


def test_nothing_is_left_over_from_the_folder(bart):
    model, tokenizer = bart
    own = model.generation_config
    assert own.forced_eos_token_id == 2  # <usr>, as derived KoBARTs say
    settings = GenerationConfig(beams=1, max_new_tokens=6, min_new_tokens=6)
    batch = inputs(bart, "seq2seq", size=5)[0]
    expected = write(model, tokenizer, batch.ids, batch.mask, settings, kind="seq2seq")
    own.num_beams, own.max_length, own.no_repeat_ngram_size, own.suppress_tokens = 5, 3, 1, [7]
    try:
        found = write(model, tokenizer, batch.ids, batch.mask, settings, kind="seq2seq")
    finally:
        own.num_beams = own.max_length = own.no_repeat_ngram_size = own.suppress_tokens = None
    assert found == expected
    assert model.generation_config is own
    tokens = Decoder.of(model, tokenizer, "seq2seq").tokens(batch, settings, seed=0)
    assert tokens.shape == (5, 6)
    assert not (tokens == 2).any()


def test_length_penalty_matters_with_several_beams_alone(bart):
    model, tokenizer = copy.deepcopy(bart[0]), bart[1]
    model.final_logits_bias[0, tokenizer.eos_token_id] = 1.0  # so that it may end early
    batches = inputs(bart, "seq2seq")

    def texts(beams, penalty):
        settings = GenerationConfig(beams=beams, max_new_tokens=12, length_penalty=penalty)
        return write_all(model, tokenizer, batches, settings, kind="seq2seq").texts

    assert texts(1, -5.0) == texts(1, 5.0)
    assert texts(4, -5.0) != texts(4, 5.0)


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_limits_of_new_tokens_hold(bart, llama, kind):
    pair = bart if kind == "seq2seq" else llama
    for least, most in [(5, 5), (0, 3)]:
        settings = GenerationConfig(beams=2, max_new_tokens=most, min_new_tokens=least)
        written = write_all(*pair, inputs(pair, kind), settings, kind=kind)
        if least:
            assert written.is_cut.all()
            assert all(written.texts)
    with pytest.raises(ValueError, match="min_new_tokens=4 is more than max_new_tokens=3"):
        GenerationConfig(min_new_tokens=4, max_new_tokens=3)


def test_what_the_prompt_says_may_be_said_again(llama):
    """In a causal model dialogue and summary are one text; only the summary is watched."""
    decoder = Decoder.of(*llama, "causal")
    everything = list(range(3, len(llama[1])))
    batch = make_batches([everything], pad=2, size=1, kind="causal", device="cpu")[0]

    def tokens(most, **settings):
        said = GenerationConfig(beams=1, max_new_tokens=most, min_new_tokens=most, **settings)
        return decoder.tokens(batch, said, seed=0)[0].tolist()

    first = tokens(1, no_repeat_ngram_size=0)
    assert first[0] in everything
    assert tokens(1, no_repeat_ngram_size=1) == first
    assert tokens(1, no_repeat_ngram_size=0, repetition_penalty=5.0) == first
    # what it wrote itself is watched
    assert len(set(tokens(20, no_repeat_ngram_size=1))) == 20
    free = len(set(tokens(20, no_repeat_ngram_size=0)))
    assert free < len(set(tokens(20, no_repeat_ngram_size=0, repetition_penalty=5.0)))


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_a_stop_string_ends_a_summary(bart, llama, kind):
    """In front of it, in each row by itself, and the batch is done when all rows are."""
    pair = bart if kind == "seq2seq" else llama
    free = GenerationConfig(beams=1, max_new_tokens=12, min_new_tokens=12)
    batches = inputs(pair, kind, size=5)
    whole = write_all(*pair, batches, free, kind=kind).texts
    stop = next(letter for letter in whole[0][1:] if not letter.isspace())
    settings = free.model_copy(update={"stop_strings": (stop, "never")})
    found = write_all(*pair, batches, settings, kind=kind)
    assert found.texts == [text.split(stop)[0].strip() for text in whole]
    assert found.is_cut.tolist() == [stop not in text for text in whole]
    beams = settings.model_copy(update={"beams": 3})
    assert not any(stop in text for text in write_all(*pair, batches, beams, kind=kind).texts)


def test_a_text_may_begin_with_its_stop_string():
    assert before_stop("\n Milk.\nTea.", ["\n"]) == "Milk."
    assert before_stop("Milk; tea. Fine", [". ", "; "]) == "Milk"
    assert before_stop("Milk", []) == "Milk"
    assert has_stop("\nMilk\n", ["\n"])
    assert not has_stop("\nMilk", ["\n"])


def test_no_rows_at_all(bart):
    found = write_all(*bart, [], greedy(4), kind="seq2seq")
    assert (found.texts, found.is_cut.tolist(), found.seconds_per_row) == ([], [], 0.0)


def test_speakers_come_back_as_the_data_name_them(tmp_path, food, tiny_bart):
    config = config_of(
        tiny_bart,
        preprocess={
            "max_input_length": 256,
            "max_target_length": 32,
            "person_tokens": "simplify",
        },
    )
    module = trained(config, food, steps=25)
    checkpoint = write_checkpoint(tmp_path / "c", module, config, food)
    summarizer = load_network(checkpoint)
    batches = summarizer.batches(food.dialogues("valid"), size=4)
    raw = write_all(
        summarizer.model, summarizer.tokenizer, batches, greedy(16), kind="seq2seq"
    ).texts
    found = summarizer.write(batches, greedy(16), seed=0).texts
    assert all("P1" in text for text in raw)
    assert all("#Person1#" in text for text in found)
