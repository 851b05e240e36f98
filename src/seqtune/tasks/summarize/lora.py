"""Low-rank adapters on a frozen base, which may be quantised to 8 or 4 bits.

Added tokens get rows of their own that are trained beside the adapters; other embeddings stay
frozen. A checkpoint holds only what is trained.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from seqtune.core.errors import ConfigurationError

from .params import LoraConfig, ModelConfig


def missing_libraries(config: ModelConfig) -> list[str]:
    """Return a fault for each library that adapters or quantisation need and cannot import."""
    needed = {}
    if config.lora.enabled:
        needed["peft"] = "model.lora.enabled=true"
    if config.quantisation != "none":
        key = f"model.quantisation={config.quantisation}"
        needed |= dict.fromkeys(("bitsandbytes", "accelerate"), key)
    return [
        f"summarize.{key} needs {library}, which cannot be imported here ({reason}); install it "
        f"(pip install {library}, or pip install 'seqtune[text]'), or set summarize."
        f"{'model.lora.enabled=false' if library == 'peft' else 'model.quantisation=none'}"
        for library, key in needed.items()
        if (reason := _reason_not_to_import(library))
    ]


def quantisation_options(config: ModelConfig, *, compute: Any) -> dict[str, Any]:
    """Return the options of `from_pretrained` to quantise and to compute in the type `compute`."""
    if config.quantisation == "none":
        return {}
    import transformers

    settings: Any = transformers.BitsAndBytesConfig
    if config.quantisation == "8bit":
        return {"quantization_config": settings(load_in_8bit=True)}
    four_bit = settings(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    return {"quantization_config": four_bit}


def keep_trainable(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights at the first validation (on CPUs with AVX-512
    bf16), after which gradients are wrong.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


@contextmanager
def quiet_quantisation() -> Iterator[None]:
    """Silence peft and bitsandbytes about casts, and about kernels that they would download."""
    logger = logging.getLogger("bitsandbytes")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in (".*MatMul8bitLt.*", ".*is_gradient_checkpointing.*"):
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(before)


def linear_layers(model: Any) -> list[str]:
    """Return the last names of a model's linear layers, without its output."""
    output = model.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and module is not output
        }
    )


def targets_in(model: Any, config: LoraConfig) -> list[str]:
    """Return the targets that this model has; refuse a model without any."""
    present = linear_layers(model)
    found = [target for target in config.targets if target in present]
    if not found:
        raise ConfigurationError(
            f"summarize.model.lora.targets={list(config.targets)}: this model has no linear layer "
            f"of any of these names; it has {', '.join(present)}"
        )
    return found


def attach(model: Any, config: LoraConfig, *, tokens: Sequence[int]) -> Any:
    """Return a peft model around `model`; only adapters and the rows of `tokens` are trained."""
    with quiet_quantisation():
        import peft

        settings = peft_config(
            config, targets=targets_in(model, config), rows=_token_rows(model, tokens)
        )
        return peft.get_peft_model(model, settings)


def peft_config(
    config: LoraConfig, *, targets: list[str], rows: dict[str, list[int]] | None, **more: Any
) -> Any:
    """Return the configuration of the adapters as peft has it."""
    with quiet_quantisation():
        import peft

    adapters: Any = peft.LoraConfig
    return adapters(
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
        target_modules=targets,
        trainable_token_indices=rows,
        bias="none",
        **more,
    )


def merge_tokens(model: nn.Module) -> None:
    """Write the rows of added tokens into the embeddings, in place, with the same outputs.

    Until then, every step copies the whole table: of 262 144 rows, for each token that is written.
    """
    from peft.tuners.trainable_tokens import TrainableTokensLayer

    for module in model.modules():
        if isinstance(module, TrainableTokensLayer):
            module.merge()


def is_attached(model: nn.Module) -> bool:
    """Whether the model has adapters."""
    return any(name.endswith("lora_A") for name, _ in model.named_modules())


def _token_rows(model: Any, tokens: Sequence[int]) -> dict[str, list[int]] | None:
    """Return rows to train in the embeddings, and in the output if it has weights of its own."""
    if not tokens:
        return None
    names = {module: name for name, module in model.named_modules()}
    layers = [model.get_input_embeddings()]
    output = model.get_output_embeddings()
    if output is not None and output.weight is not layers[0].weight:
        layers.append(output)
    return {names[layer]: sorted(tokens) for layer in layers}


def _reason_not_to_import(library: str) -> str:
    try:
        with quiet_quantisation():
            importlib.import_module(library)
    except (ImportError, OSError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return ""
