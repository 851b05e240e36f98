"""Tiny models of the real classes, made on the spot for tests and benchmarks.

Their weights are random, their tokenisers are trained on the texts given. Each is a folder that
`save_pretrained` wrote, and is opened by the very path that a name on the hub takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

VOCABULARY = 800
KOBART = {
    "bos": "<s>",
    "eos": "</s>",
    "usr": "<usr>",
    "pad": "<pad>",
    "sys": "<sys>",
    "unk": "<unk>",
    "mask": "<mask>",
}
"""Special tokens in the order of their numbers; those of users and systems have no name."""
WORDPIECE = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def make_electra(folder: Path, texts: Iterable[str], *, hidden: int = 32, seed: int = 0) -> Path:
    """An ELECTRA encoder with WordPiece, as KcELECTRA is one."""
    from transformers import ElectraConfig, ElectraModel

    tokenizer = _wordpiece(texts)
    config = ElectraConfig(
        **_encoder(tokenizer, hidden), embedding_size=hidden, pad_token_id=tokenizer.pad_token_id
    )
    return _save(folder, lambda: ElectraModel(config), tokenizer, seed=seed)


def make_bert(folder: Path, texts: Iterable[str], *, hidden: int = 32, seed: int = 0) -> Path:
    """A BERT encoder with WordPiece, as SoongsilBERT and KcBERT are."""
    from transformers import BertConfig, BertModel

    tokenizer = _wordpiece(texts)
    config = BertConfig(**_encoder(tokenizer, hidden), pad_token_id=tokenizer.pad_token_id)
    return _save(folder, lambda: BertModel(config), tokenizer, seed=seed)


def make_roberta(folder: Path, texts: Iterable[str], *, hidden: int = 32, seed: int = 0) -> Path:
    """A RoBERTa encoder with byte-level BPE."""
    from transformers import RobertaConfig, RobertaModel

    tokenizer = _byte_level(
        texts,
        specials={"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"},
    )
    sizes = _encoder(tokenizer, hidden)
    sizes["max_position_embeddings"] += 2  # RoBERTa counts positions from 2
    config = RobertaConfig(
        **sizes,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _save(folder, lambda: RobertaModel(config), tokenizer, seed=seed)


def make_kobart(folder: Path, texts: Iterable[str], *, hidden: int = 32, seed: int = 0) -> Path:
    """A BART with KoBART's special ids: <usr> 2 forced at the end by its configuration, and a
    tokeniser that adds neither <s> nor </s>."""
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = _byte_level(texts, specials=KOBART, adds_specials=False)
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=hidden,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * hidden,
        decoder_ffn_dim=2 * hidden,
        max_position_embeddings=1026,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=2,
    )
    return _save(folder, lambda: BartForConditionalGeneration(config), tokenizer, seed=seed)


def make_llama(folder: Path, texts: Iterable[str], *, hidden: int = 32, seed: int = 0) -> Path:
    """A causal Llama with a chat template."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _chat_tokenizer(texts)
    config = LlamaConfig(**_decoder(tokenizer, hidden))
    return _save(folder, lambda: LlamaForCausalLM(config), tokenizer, seed=seed)


def make_qwen3(folder: Path, texts: Iterable[str], *, hidden: int = 32, seed: int = 0) -> Path:
    """A causal Qwen3 with a chat template."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _chat_tokenizer(texts)
    config = Qwen3Config(**_decoder(tokenizer, hidden), head_dim=hidden // 2)
    return _save(folder, lambda: Qwen3ForCausalLM(config), tokenizer, seed=seed)


MAKERS: dict[str, Callable[..., Path]] = {
    "electra": make_electra,
    "bert": make_bert,
    "roberta": make_roberta,
    "kobart": make_kobart,
    "llama": make_llama,
    "qwen3": make_qwen3,
}


def _encoder(tokenizer: Any, hidden: int) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": 512,
    }


def _decoder(tokenizer: Any, hidden: int) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": 2048,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _wordpiece(texts: Iterable[str]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer, splitter = normalizers.NFC(), pre_tokenizers.BertPreTokenizer()
    words = Counter(
        word
        for text in texts
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    numbers = {piece: number for number, piece in enumerate(_pieces(words))}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    for name in WORDPIECE:
        tokenizer.add_special_tokens([name])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
    )


def _pieces(words: Counter[str]) -> list[str]:
    """Characters, then whole words, the most frequent first.

    The trainer of `tokenizers` numbers what is equally frequent at random.
    """
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for place, character in enumerate(word):
            characters[character if place == 0 else f"##{character}"] += count
    ranked = [
        [piece for piece, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))]
        for found in (characters, words)
    ]
    pieces = [*WORDPIECE, *ranked[0][: VOCABULARY // 2], *ranked[1]]
    return list(dict.fromkeys(pieces))[:VOCABULARY]


def _byte_level(
    texts: Iterable[str], *, specials: dict[str, str], adds_specials: bool = True
) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(specials.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if adds_specials:
        bos, eos = specials["bos"], specials["eos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A {eos}",
            pair=f"{bos} $A {eos} {eos} $B {eos}",
            special_tokens=[(name, tokenizer.token_to_id(name)) for name in (bos, eos)],
        )
    named = {
        f"{name}_token": token for name, token in specials.items() if name not in ("usr", "sys")
    }
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, model_max_length=1024, **named)


def _chat_tokenizer(texts: Iterable[str]) -> Any:
    tokenizer = _byte_level(
        texts,
        specials={"bos": "<|begin|>", "eos": "<|end|>", "pad": "<|pad|>"},
        adds_specials=False,
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def _save(folder: Path, build: Callable[[], Any], tokenizer: Any, *, seed: int) -> Path:
    import torch

    from seqtune.text.pretrained import be_quiet

    be_quiet()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = build()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
