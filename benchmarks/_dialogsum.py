"""DialogSum for benchmarks: the official parts through the project's own stages, and a small BART
with a tokeniser of its own, trained on the fit part alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from _harness import shared_data
from seqtune.core.seeds import derive_seed
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.params import SummarizeConfig

FILES = {
    "dialogues": "dialogsum.train.jsonl",
    "valid_dialogues": "dialogsum.dev.jsonl",
    "test_dialogues": "dialogsum.test.jsonl",
}
SPECIALS = ["<s>", "</s>", "<usr>", "<pad>", "<unk>"]


def dialogsum_split(
    folder: Path, config: SummarizeConfig, *, most: Mapping[str, int] | None = None
) -> SummarizeData:
    """The official parts as a split folder below `folder`; of some roles only `most` rows."""
    found = {role: shared_data() / "summarize" / name for role, name in FILES.items()}
    missing = [str(path) for path in found.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{missing} missing; set SEQTUNE_DATA to the folder of data")
    ingested, split = folder / "ingested", folder / "split"
    for made in (ingested, split):
        made.mkdir()
    for role, rows in (most or {}).items():
        found[role] = _sample(found[role], folder, rows)
    TASK.ingest({role: (path,) for role, path in found.items()}, config, out=ingested)
    TASK.split(ingested, config, out=split)
    return SummarizeData.open(split)


def make_bart(
    folder: Path, data: SummarizeData, *, hidden: int, layers: int, vocabulary: int, seed: int = 0
) -> Path:
    """A BART of that size with random weights, as a folder that `save_pretrained` wrote."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = _tokenizer(data, vocabulary)
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=hidden,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=max(1, hidden // 64),
        decoder_attention_heads=max(1, hidden // 64),
        encoder_ffn_dim=4 * hidden,
        decoder_ffn_dim=4 * hidden,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=3,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "bart"))
        BartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _sample(file: Path, folder: Path, rows: int) -> Path:
    """The first rows of a fixed order of a file: a smaller sample is part of a larger one."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    order = np.random.default_rng(derive_seed(0, file.name)).permutation(len(lines))[:rows]
    sample = folder / file.name
    sample.write_text("".join(lines[row] for row in order), encoding="utf-8")
    return sample


def _tokenizer(data: SummarizeData, vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [*data.dialogues("train"), *(t for own in data.references("train") for t in own)]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=SPECIALS,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=made, model_max_length=1024, **named)
