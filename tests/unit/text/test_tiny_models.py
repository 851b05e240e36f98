"""Tiny models are real: opened by the path that any model takes, and the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seqtune.text.pretrained import (
    identity,
    load_config,
    load_model,
    load_tokenizer,
    locate,
    require_match,
)
from tiny_models import MAKERS, make_bert

CLASSES = {"kobart": "AutoModelForSeq2SeqLM", "llama": "AutoModelForCausalLM"} | {
    "qwen3": "AutoModelForCausalLM"
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_opens_and_computes(models: dict[str, Path], kind: str) -> None:
    folder = locate(str(models[kind]))
    tokenizer, config = load_tokenizer(folder), load_config(folder)
    require_match(tokenizer, config, name=kind)
    model = load_model(CLASSES.get(kind, "AutoModel"), folder).eval()
    found = model(**tokenizer("Hello world 안녕", return_tensors="pt", return_token_type_ids=False))

    assert model.config.model_type == ("bart" if kind == "kobart" else kind)
    assert model.dtype == torch.float32
    assert torch.isfinite(found[0]).all()


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_causal_ones_have_a_chat_template(models: dict[str, Path], kind: str) -> None:
    tokenizer = load_tokenizer(models[kind])
    chat = [{"role": "user", "content": "Hello"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)

    assert text == "<|user|>\nHello<|end|>\n<|assistant|>\n"
    assert tokenizer.convert_ids_to_tokens(tokenizer.eos_token_id) == "<|end|>"


def test_kobart_has_the_special_ids_of_the_real_one(models: dict[str, Path]) -> None:
    tokenizer, config = load_tokenizer(models["kobart"]), load_config(models["kobart"])
    names = ["<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>"]

    assert tokenizer.convert_tokens_to_ids(names) == list(range(7))
    assert (config.eos_token_id, config.pad_token_id, config.decoder_start_token_id) == (1, 3, 1)


def test_kobart_adds_neither_beginning_nor_end_and_forces_a_wrong_one(
    models: dict[str, Path],
) -> None:
    """What makes a careless summariser never stop (FACTS 5)."""
    from transformers import GenerationConfig

    tokenizer = load_tokenizer(models["kobart"])

    assert not {0, 1} & set(tokenizer("Hello world")["input_ids"])
    assert GenerationConfig.from_pretrained(models["kobart"]).forced_eos_token_id == 2


def test_the_seed_is_all_the_randomness(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    folders = [make_bert(tmp_path / str(n), ["some text"], seed=n % 2) for n in range(3)]

    assert torch.equal(torch.random.get_rng_state(), before)
    assert identity(folders[0]) == identity(folders[2]) != identity(folders[1])


@pytest.mark.slow
def test_another_process_makes_the_same(models: dict[str, Path], tmp_path: Path) -> None:
    """Tokenisers that are trained with a table in random order are not."""
    script = (
        "import sys, pathlib\n"
        "from tiny_models import MAKERS\n"
        "from seqtune.text.pretrained import identity\n"
        "texts = pathlib.Path(sys.argv[2]).read_text().splitlines()\n"
        "for kind in MAKERS: print(identity(MAKERS[kind](pathlib.Path(sys.argv[1]) / kind, texts)))"
    )
    texts = [f"word{n % 37} 글{chr(0xAC00 + 7 * n)} #{n}" for n in range(300)]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    made = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "other", tmp_path / "texts.txt"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    here = [identity(make(tmp_path / "here" / kind, texts)) for kind, make in MAKERS.items()]

    assert made.stdout.split() == here
    assert made.stderr == ""
