"""The LightningModule of `summarize`: the steps of training and validation.

`training.fit` attaches the optimiser. `model.weights_of` decides what a checkpoint holds.
Shapes: B batch, T time, U time of the target, V tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from seqtune.batching import is_sharded, mean_over_ranks
from seqtune.core.errors import ConfigurationError
from seqtune.text.pretrained import load_config
from seqtune.text.split import Part

from .batches import IGNORED, TrainBatch, WriteBatch, stand_in
from .data import SummarizeData
from .decoder import greedy, write
from .encoding import require_fit
from .lora import quiet_quantisation
from .model import Kind, build_model, fill, kind_of, open_tokenizer, source, weights_of
from .params import SummarizeConfig
from .preprocess import restore
from .rouge import NAMES, ROUGE_SUM, rouge

LOSSES = 1
"""Index of the validation loader of the loss; the others are summarised."""
WRITTEN: dict[int, tuple[str, Part]] = {0: ("val", "valid"), 2: ("train", "train")}
PREFIX = "model."


class SummarizeModule(LightningModule):
    """Cross entropy over the tokens of the summary; in validation also ROUGE by greedy decoding."""

    def __init__(
        self,
        config: SummarizeConfig,
        data: SummarizeData,
        *,
        model: Any,
        tokenizer: Any,
        kind: Kind,
    ) -> None:
        super().__init__()
        self.strict_loading = False  # with adapters the base is not in a state; `fill` is strict
        self.config = config
        self.model = model
        self.tokenizer = tokenizer
        self.kind = kind
        self._data = data
        self._references: dict[Part, list[list[str]]] = {}
        self._takes_last = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._losses = torch.zeros(2, dtype=torch.float64)
        self._scores: dict[int, Tensor] = {}

    @override
    def state_dict(self, *_args: Any, **_options: Any) -> dict[str, Any]:  # type: ignore[override]
        return {PREFIX + name: tensor.detach() for name, tensor in weights_of(self.model).items()}

    @override
    def load_state_dict(self, state_dict: Mapping[str, Any], *_args: Any, **_options: Any) -> Any:
        fill(self.model, {name.removeprefix(PREFIX): value for name, value in state_dict.items()})

    def model_to_shard(self) -> Any:
        """Return the model that `training.strategy=fsdp` shards."""
        model = self.config.model
        faults = []
        if not model.lora.enabled:
            faults.append("summarize.model.lora.enabled=false trains every weight")
        if model.quantisation != "none":
            faults.append(
                f"summarize.model.quantisation={model.quantisation} packs weights, and is small as "
                "it is"
            )
        if self.kind != "causal":
            faults.append("the encoder of an encoder-decoder is called by itself")
        if faults:
            raise ConfigurationError(
                "training.strategy=fsdp cuts frozen weights of causal language models with "
                f"adapters: {'; '.join(faults)}. Choose training.strategy=auto"
            )
        return self.model

    def training_step(self, batch: TrainBatch, _batch_idx: int = 0) -> Tensor:
        """Mean over the target tokens of one batch."""
        logits, labels = self._predicted(batch)
        loss = functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, label_smoothing=self.config.model.label_smoothing
        )
        return mean_over_ranks(loss, (labels != IGNORED).sum())

    def on_validation_epoch_start(self) -> None:
        self._losses = torch.zeros(2, dtype=torch.float64)
        self._scores = {}

    def validation_step(
        self, batch: TrainBatch | WriteBatch, _batch_idx: int = 0, dataloader_idx: int = 0
    ) -> None:
        """A rank with fewer rows than others gets an empty batch."""
        if not len(batch.ids) and is_sharded(self.model):
            batch = stand_in(batch)
        if isinstance(batch, TrainBatch):
            if len(batch.ids):
                self._add_losses(batch)
            return
        part = WRITTEN[dataloader_idx][1]
        sums = self._scores.setdefault(dataloader_idx, torch.zeros(4, dtype=torch.float64))
        if len(batch.ids):
            sums += self._rouge(batch, part)

    def on_validation_epoch_end(self) -> None:
        """Log exact means over all tokens and rows of all ranks."""
        total, count = self._over_ranks(self._losses)
        if count:
            self.log("val_loss", total / count, sync_dist=True)
        for loader, sums in sorted(self._scores.items()):
            prefix, (*scores, rows) = WRITTEN[loader][0], self._over_ranks(sums)
            means = {name: score / rows for name, score in zip(NAMES, scores, strict=True)}
            means[ROUGE_SUM] = sum(means.values())
            self.log_dict(
                {f"{prefix}_{name}": float(value) for name, value in means.items()}, sync_dist=True
            )

    def _predicted(self, batch: TrainBatch) -> tuple[Tensor, Tensor]:
        """Return logits in fp32 [M, V] and labels [M] of all positions, ignored ones included."""
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask.long(), "use_cache": False}
        with quiet_quantisation():
            if self.kind == "seq2seq":
                start = self.model.prepare_decoder_input_ids_from_labels(labels=batch.labels)
                logits = self.model(**inputs, decoder_input_ids=start).logits  # [B, U, V]
                return _flat(logits, batch.labels)
            if self._takes_last:  # of the prompt, only the last position predicts a label
                inputs["logits_to_keep"] = batch.ids.shape[1] - batch.first + 1
            logits = self.model(**inputs).logits  # [B, <=T, V]
        labels = batch.labels[:, -logits.shape[1] :]
        return _flat(logits[:, :-1], labels[:, 1:])

    def _add_losses(self, batch: TrainBatch) -> None:
        logits, labels = self._predicted(batch)
        total = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
        self._losses += torch.stack([total, (labels != IGNORED).sum()]).double().cpu()

    def _rouge(self, batch: WriteBatch, part: Part) -> Tensor:
        """Return sums of ROUGE over the rows of a batch, and their number [4]."""
        evaluation = self.config.evaluation
        with quiet_quantisation():
            texts = write(
                self.model,
                self.tokenizer,
                batch.ids,
                batch.mask.long(),
                greedy(evaluation.max_new_tokens),
                kind=self.kind,
            )
        if part not in self._references:
            self._references[part] = self._data.references(part)  # original rows come first
        rows = batch.rows.tolist()
        written = [restore(text, self.config.preprocess) for text in texts[: len(rows)]]
        scores = rouge(
            written,
            [self._references[part][row] for row in rows],
            tokenizer=evaluation.tokenizer,
            combine=evaluation.references,
        )
        return torch.tensor([*scores.sum(axis=0), len(written)], dtype=torch.float64)

    def _over_ranks(self, sums: Tensor) -> list[float]:
        reduced = self.trainer.strategy.reduce(sums.to(self.device), reduce_op="sum")
        values: list[float] = reduced.tolist()
        return values


def build_module(config: SummarizeConfig, data: SummarizeData) -> SummarizeModule:
    """Build a module; refuse dialogues that do not fit before a model is loaded."""
    require_fit(config, data)
    tokenizer = open_tokenizer(config, data).tokenizer
    kind = kind_of(config, load_config(source(config)))
    model = build_model(config, data)
    return SummarizeModule(config, data, model=model, tokenizer=tokenizer, kind=kind)


def _flat(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return logits.float().flatten(0, 1), labels.flatten()
