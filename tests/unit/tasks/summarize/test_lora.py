"""Adapters: small checkpoints that reload bit for bit, on bases that never change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqtune.core.config import EnsembleConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.auto_values import resolve_auto
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.datamodule import build_data
from seqtune.tasks.summarize.decoder import greedy, write
from seqtune.tasks.summarize.model import (
    build_model,
    open_tokenizer,
    restored_model,
    weights_of,
    write_model_assets,
)
from seqtune.tasks.summarize.module import SummarizeModule, build_module
from seqtune.tasks.summarize.params import PredictConfig
from seqtune.tasks.summarize.rouge import rouge
from seqtune.tasks.summarize.scorer import load_network
from seqtune.text.pretrained import load_model

from .checkpoint_folders import write_checkpoint, write_ensemble
from .examples import BASES, config_of

LORA = {"enabled": True, "r": 4, "alpha": 16}


def trained(module: SummarizeModule, config: Any, split: SummarizeData, *, steps: int = 2) -> None:
    module.train()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.01)
    batch = next(iter(build_data(config, split).train_dataloader()))
    for _ in range(steps):
        optimizer.zero_grad()
        module.training_step(batch).backward()
        optimizer.step()
    module.eval()


def logits(model: Any, tokens: list[int], kind: str) -> Tensor:
    ids = torch.tensor([tokens])
    more = {"decoder_input_ids": ids} if kind == "seq2seq" else {}
    with torch.no_grad():
        found: Tensor = model.eval()(ids, **more).logits
    return found


@pytest.mark.parametrize("quantisation", ["none", "8bit", "4bit"])
@pytest.mark.parametrize("name", BASES)
def test_a_step_a_text_and_the_way_back(
    models: dict[str, Path], split: SummarizeData, tmp_path: Path, name: str, quantisation: str
) -> None:
    """Also after a validation: bitsandbytes packs 4-bit weights anew there on some CPUs, and
    what is trained after it gets no true gradients."""
    config = config_of(models[name], model={"lora": LORA, "quantisation": quantisation})
    module = build_module(config, split)
    before = {n: p.detach().clone() for n, p in module.named_parameters() if not p.requires_grad}
    first = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trained(module, config, split, steps=1)
    ids = torch.tensor([module.tokenizer.encode("#Person1#: I want milk")])
    mask = torch.ones_like(ids)
    texts = write(module.model, module.tokenizer, ids, mask, greedy(4), kind=module.kind)
    trained(module, config, split, steps=2)
    frozen = {n: p for n, p in module.named_parameters() if not p.requires_grad}
    assert len(texts) == 1
    assert all(before[n].equal(frozen[n]) for n in before)
    saved = module.state_dict()
    changed = [n for n in saved if not saved[n].equal(first[n])]
    assert any("lora_B" in n for n in changed)
    assert any("trainable_tokens_delta" in n for n in changed)
    assert sum(t.numel() * t.element_size() for t in saved.values()) < 64 * 1024
    write_model_assets(tmp_path, config, split)
    weights = {n.removeprefix("model."): t.clone() for n, t in saved.items()}
    found, tokenizer, kind = restored_model(tmp_path, config, weights, device="cpu")
    own = [*open_tokenizer(config, split).tokens, *tokenizer.encode("I want milk")]
    assert logits(found, own, kind).equal(logits(module.model, own, kind))


@pytest.mark.parametrize("name", ["kobart", "llama"])
def test_trained_tokens_count_wherever_their_weights_do(
    models: dict[str, Path], split: SummarizeData, name: str
) -> None:
    """In the encoder, the decoder and the output: tied or not, all of them see the new rows."""
    config = config_of(models[name], model={"lora": LORA})
    model = build_model(config, split)
    speech = open_tokenizer(config, split)
    kind = "seq2seq" if name == "kobart" else "causal"
    plain = logits(model, [5, 6], kind)
    other = logits(model, [5, speech.tokens[0]], kind)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "trainable_tokens_delta" in parameter_name:
                parameter += 1.0
    moved = logits(model, [5, 6], kind)
    is_new = torch.zeros(plain.shape[-1], dtype=torch.bool)
    is_new[speech.tokens] = True
    assert not moved[..., is_new].equal(plain[..., is_new])
    assert moved[..., ~is_new].equal(plain[..., ~is_new])
    read = logits(model, [5, speech.tokens[0]], kind)
    assert not read[..., ~is_new].equal(other[..., ~is_new])


@pytest.mark.parametrize("name", BASES)
def test_a_loaded_checkpoint_has_its_tokens_in_the_table(
    models: dict[str, Path], split: SummarizeData, tmp_path: Path, name: str
) -> None:
    """Tied or not: the same outputs bit for bit, without a copy of the table at each step."""
    config = config_of(models[name], model={"lora": LORA})
    module = build_module(config, split)
    trained(module, config, split)
    summarizer = load_network(write_checkpoint(tmp_path / "c", module, config, split))
    tokens = [*open_tokenizer(config, split).tokens, 5]
    kind = summarizer.kind
    assert logits(summarizer.model, tokens, kind).equal(logits(module.model, tokens, kind))
    wrapped = [part for part in summarizer.model.modules() if hasattr(part, "merged_adapters")]
    of_tokens = [part for part in wrapped if hasattr(part, "trainable_tokens_delta")]
    assert of_tokens
    assert all(part.merged for part in of_tokens)


class Products(TorchDispatchMode):
    """The shapes of what is multiplied batch by batch."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bmm.default:
            self.shapes += [tuple(one.shape) for one in args]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_output_weights_are_not_copied_for_each_row(
    models: dict[str, Path], split: SummarizeData, name: str
) -> None:
    """Of a slice of positions, torch would copy them, as they are frozen: a table for each row."""
    config = config_of(models[name], model={"lora": LORA}, preprocess={"special_tokens": False})
    model = build_model(config, split)
    rows_of_table = model.get_output_embeddings().weight.shape[0]
    with Products() as products:
        model(torch.ones((3, 8), dtype=torch.long), logits_to_keep=2)
    assert rows_of_table not in {size for shape in products.shapes for size in shape}


def test_adapters_begin_without_effect(models: dict[str, Path], split: SummarizeData) -> None:
    plain = logits(load_model("AutoModelForCausalLM", models["llama"]), [5, 6, 7], "causal")
    config = config_of(models["llama"], model={"lora": LORA})
    model = build_model(config, split)
    assert logits(model, [5, 6, 7], "causal")[..., : plain.shape[-1]].equal(plain)


def test_without_new_tokens_only_adapters_are_trained(
    models: dict[str, Path], split: SummarizeData
) -> None:
    config = config_of(models["llama"], model={"lora": LORA}, preprocess={"special_tokens": False})
    names = weights_of(build_model(config, split))
    assert names
    assert all("lora_" in name for name in names)


def test_half_precision_is_for_the_base_alone(
    models: dict[str, Path], split: SummarizeData
) -> None:
    config = config_of(models["llama"], model={"lora": LORA}, training={"precision": "bf16"})
    model = build_model(config, split)
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


def test_targets_that_no_layer_has_are_refused(
    models: dict[str, Path], split: SummarizeData
) -> None:
    config = config_of(models["llama"], model={"lora": {**LORA, "targets": ("c_attn",)}})
    with pytest.raises(ConfigurationError, match="it has down_proj, gate_proj, k_proj"):
        build_model(config, split)


@pytest.mark.parametrize(
    ("library", "key"), [("bitsandbytes", "quantisation=4bit"), ("peft", "lora.enabled=true")]
)
def test_a_missing_library_is_said_before_anything_is_built(
    models: dict[str, Path],
    split: SummarizeData,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    key: str,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    config = config_of(models["llama"], model={"lora": LORA, "quantisation": "4bit"})
    with pytest.raises(
        ConfigurationError, match=rf"summarize\.model\.{key} needs {library}.*pip install {library}"
    ):
        resolve_auto(Resolved(config, {}), split)


def test_it_is_measured_weighed_and_predicts(
    models: dict[str, Path], split: SummarizeData, tmp_path: Path
) -> None:
    """What is opened again and again is the base that it names, with its own adapters."""
    config = config_of(
        models["llama"], model={"lora": LORA}, generation={"beams": 1, "max_new_tokens": 8}
    )
    module = build_module(config, split)
    trained(module, config, split, steps=60)  # enough for words of the references
    checkpoint = write_checkpoint(tmp_path / "c", module, config, split)
    texts = load_network(checkpoint).summarise(split.dialogues("valid"), batch_size=4).texts
    assert all(texts)

    measured = TASK.measure(checkpoint, split, config)  # type: ignore[misc]
    scores = rouge(texts, split.references("valid"), tokenizer="words", combine="max")
    assert measured["decoded_rouge_sum"] == pytest.approx(float(scores.sum(axis=1).mean()))

    base = write_checkpoint(tmp_path / "b", build_module(config, split), config, split)
    members = {"trained": checkpoint, "untrained": base}
    pool = TASK.open_pool(members, split, EnsembleConfig(), seed=0)
    first, second = pool.facts()["rouge_sum_of_each"]
    assert first == pytest.approx(measured["decoded_rouge_sum"])
    assert first > second

    ensemble = write_ensemble(tmp_path / "e", {checkpoint: 1.0, base: 0.0})
    for number, path in enumerate((checkpoint, ensemble)):
        out = tmp_path / f"out{number}"
        out.mkdir()
        TASK.predict(path, split, PredictConfig(batch_size=4), new_rows=(), out=out)
        assert pq.read_table(out / "predictions.parquet")["summary"].to_pylist() == texts
