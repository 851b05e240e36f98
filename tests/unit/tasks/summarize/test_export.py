"""What is exported loads in peft and transformers, and answers as the checkpoint does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from seqtune.core.errors import ConfigurationError, StorageError
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.export import export_adapter, export_merged, main
from seqtune.tasks.summarize.loading import load_summarizer
from seqtune.tasks.summarize.lora import quiet_quantisation
from seqtune.text.pretrained import identity

from .checkpoint_folders import trained, write_checkpoint
from .examples import BASES, config_of

LORA = {"enabled": True, "r": 4, "alpha": 16.0, "dropout": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
}
AUTO = {"seq2seq": "AutoModelForSeq2SeqLM", "causal": "AutoModelForCausalLM"}


def checkpoint_of(
    folder: Path, model: Path, split: SummarizeData, *, tokens: bool = True, **lora: Any
) -> Path:
    config = config_of(
        model, model={"lora": {**LORA, **lora}}, preprocess={"special_tokens": tokens}
    )
    module = trained(config, split, steps=3, lr=0.02)
    return write_checkpoint(folder / "checkpoint", module, config, split)


def logits(model: Any, tokenizer: Any, kind: str) -> Tensor:
    ids = tokenizer("#Person1#: I want milk", return_tensors="pt")["input_ids"]
    more = {"decoder_input_ids": ids} if kind == "seq2seq" else {}
    with torch.no_grad():
        found: Tensor = model.eval()(ids, **more).logits
    return found


def expected(checkpoint: Path) -> Tensor:
    own = load_summarizer(checkpoint)
    return logits(own.model, own.tokenizer, own.kind)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", BASES)
def test_an_adapter_loads_in_peft_and_a_merged_model_in_transformers(
    models: dict[str, Path], split: SummarizeData, tmp_path: Path, name: str, variant: str
) -> None:
    """With tokens from the data, tied to the output (qwen3) or not."""
    checkpoint = checkpoint_of(tmp_path, models[name], split, **VARIANTS[variant])
    kind = "seq2seq" if name == "kobart" else "causal"
    auto = getattr(transformers, AUTO[kind])
    ours = expected(checkpoint)

    adapter = export_adapter(checkpoint, tmp_path / "adapter")
    tokenizer = transformers.AutoTokenizer.from_pretrained(adapter)
    base = auto.from_pretrained(models[name])
    base.resize_token_embeddings(len(tokenizer))
    with quiet_quantisation():
        loaded = peft.PeftModel.from_pretrained(base, adapter)
    assert logits(loaded, tokenizer, kind).equal(ours)

    merged = export_merged(checkpoint, tmp_path / "merged")
    tokenizer = transformers.AutoTokenizer.from_pretrained(merged)
    whole = auto.from_pretrained(merged)
    torch.testing.assert_close(logits(whole, tokenizer, kind), ours, atol=1e-4, rtol=1e-4)
    assert whole.generation_config.eos_token_id == tokenizer.eos_token_id
    assert not [key for key in load_file(merged / "model.safetensors") if "lora" in key]
    files = [path for folder in (adapter, merged) for path in folder.iterdir()]
    assert len({path.stat().st_mode for path in files}) == 1


def test_an_adapter_without_tokens_loads_as_vllm_wants_it(
    models: dict[str, Path], split: SummarizeData, tmp_path: Path
) -> None:
    """Names of modules of transformers with lora_A and lora_B alone, and the base by its name."""
    checkpoint = checkpoint_of(tmp_path, models["llama"], split, tokens=False)
    adapter = export_adapter(checkpoint, tmp_path / "adapter")
    settings = json.loads((adapter / "adapter_config.json").read_text())
    assert settings["peft_type"], settings["task_type"] == ("LORA", "CAUSAL_LM")
    assert settings["base_model_name_or_path"] == str(models["llama"])
    assert (settings["r"], settings["lora_alpha"], settings["bias"]) == (4, 16.0, "none")
    assert settings["modules_to_save"] is None
    assert settings["trainable_token_indices"] is None
    base = transformers.AutoModelForCausalLM.from_pretrained(models["llama"])
    layers = dict(base.named_modules())
    tensors = load_file(adapter / "adapter_model.safetensors")
    for key, tensor in tensors.items():
        layer, part, _ = key.removeprefix("base_model.model.").rsplit(".", 2)
        size = layers[layer].in_features if part == "lora_A" else layers[layer].out_features
        assert {*tensor.shape} == {4, size}
    targets = {key.split(".")[-3] for key in tensors}
    assert targets == {*settings["target_modules"]}
    with quiet_quantisation():
        loaded = peft.AutoPeftModelForCausalLM.from_pretrained(adapter)
    tokenizer = transformers.AutoTokenizer.from_pretrained(adapter)
    assert logits(loaded, tokenizer, "causal").equal(expected(checkpoint))


def test_a_model_without_adapters_is_exported_whole(
    models: dict[str, Path], split: SummarizeData, tmp_path: Path
) -> None:
    config = config_of(models["llama"])
    checkpoint = write_checkpoint(
        tmp_path / "checkpoint", trained(config, split, steps=1), config, split
    )
    with pytest.raises(ConfigurationError, match=r"has no adapters.*--merged"):
        export_adapter(checkpoint, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
    whole = export_merged(checkpoint, tmp_path / "merged")
    model = transformers.AutoModelForCausalLM.from_pretrained(whole)
    tokenizer = transformers.AutoTokenizer.from_pretrained(whole)
    assert logits(model, tokenizer, "causal").equal(expected(checkpoint))


def test_a_quantised_base_is_merged_whole(
    models: dict[str, Path], split: SummarizeData, tmp_path: Path
) -> None:
    config = config_of(models["llama"], model={"lora": LORA, "quantisation": "4bit"})
    module = trained(config, split, steps=1)
    checkpoint = write_checkpoint(tmp_path / "checkpoint", module, config, split)
    merged = export_merged(checkpoint, tmp_path / "merged")
    types = {tensor.dtype for tensor in load_file(merged / "model.safetensors").values()}
    assert types == {torch.float32}


def test_what_is_there_stays(
    models: dict[str, Path],
    split: SummarizeData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the command too, whose faults are one line."""
    checkpoint = checkpoint_of(tmp_path, models["llama"], split)
    merged = tmp_path / "merged"
    before = identity(models["llama"])
    main([str(checkpoint), str(merged), "--merged"])
    assert capsys.readouterr().out == f"{merged} is written\n"
    written = identity(merged)
    with pytest.raises(StorageError, match="exists already; remove it, or choose another folder"):
        export_adapter(checkpoint, merged)
    with pytest.raises(SystemExit, match=r"^Error: .*exists already; remove it"):
        main([str(checkpoint), str(merged)])
    assert (identity(merged), identity(models["llama"])) == (written, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "merged"]
