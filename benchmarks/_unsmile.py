"""UnSmile for benchmarks: the official parts through the project's own stages, and a small BERT
with a tokeniser of its own, trained on the fit part alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from _harness import shared_data
from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.text.split import MANIFEST

logger = logging.getLogger(__name__)

FILES = {"texts": "unsmile_train_v1.0.tsv", "test_texts": "unsmile_valid_v1.0.tsv"}
READ: dict[str, Any] = {
    "ingest.columns.text": "문장",
    "ingest.columns.ignore": ["개인지칭"],
    "ingest.on_empty": "drop",  # two rows of asterisks and brackets, and one of the test
    "split.test_share": 0.0,
    "split.augmentation": "none",
}


def unsmile_split(folder: Path, config: ClassifyConfig) -> ClassifyData:
    """The split below `folder`, made there by the stages ingest and split, as `kedro run` would."""
    if (folder / "split" / MANIFEST).is_file():
        return ClassifyData.open(folder / "split")
    sources = {role: (shared_data() / "classify" / name,) for role, name in FILES.items()}
    missing = [file for (file,) in sources.values() if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is missing; set SEQTUNE_DATA to the data sets")
    for name in ("texts", "split"):
        (folder / name).mkdir(parents=True)
    report = TASK.ingest(sources, config, out=folder / "texts")
    logger.info("%s", "; ".join(report["headline"]))
    report = TASK.split(folder / "texts", config, out=folder / "split")
    logger.info("%s", "; ".join(report["headline"]))
    return ClassifyData.open(folder / "split")


def make_encoder(
    folder: Path, data: ClassifyData, *, hidden: int, layers: int, vocabulary: int, dropout: float
) -> Path:
    """A BERT with random weights, and WordPiece learnt from the texts of the fit part."""
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils.logging import disable_progress_bar

    if folder.is_dir():  # kept from a run that was killed
        return folder
    disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    tokenizer = make_tokenizer(data.texts("train"), size=vocabulary)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 48),
        intermediate_size=4 * hidden,
        max_position_embeddings=512,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(texts: list[str], *, size: int) -> Any:
    """WordPiece that also splits what Korean words begin with."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokenizer = Tokenizer(models.WordPiece(unk_token=names["unk"]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(names.values()), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokens = {f"{role}_token": name for role, name in names.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **tokens)  # type: ignore[no-untyped-call]
