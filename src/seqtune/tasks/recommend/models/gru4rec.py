"""GRU4Rec: a recurrent network that predicts the next item (Hidasi et al. 2016).

Unlike the paper, it trains on whole sequences with cross entropy over all items (or drawn ones),
and its output is tied to the item embeddings, as in the other architectures.

Sequences are padded on the left. So that the recurrent state does not run through the padding,
each sequence is first rolled to the left end.

Shapes: B batch, T time, D hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import PADDING, SequenceModel, Step
from .config import Architecture, ModelConfig
from .layers.dropout import FastDropout


class GRU4RecConfig(ModelConfig):
    """A recurrent network over items."""

    architecture: Architecture = "gru4rec"


class GRU4Rec(SequenceModel[GRU4RecConfig]):
    def build(self, config: GRU4RecConfig) -> None:
        self.dropout = FastDropout(config.dropout_rate)
        self.gru = nn.GRU(
            config.hidden_units,
            config.hidden_units,
            config.num_layers,
            batch_first=True,
            dropout=config.dropout_rate if config.num_layers > 1 else 0.0,
        )

    def encode(self, items: Tensor) -> Tensor:
        time = items.shape[1]
        # a row of padding only counts as a sequence of length 1, whatever its width
        padding = (items == PADDING).sum(1, keepdim=True).clamp_(max=time - 1)  # [B, 1]
        places = torch.arange(time, device=items.device)
        x = self.dropout(self.embed(items.gather(1, _wrapped(places + padding, time))))
        hidden, _ = self.gru(x)
        back = _wrapped(places - padding, time)[:, :, None].expand_as(hidden)
        encoded: Tensor = self.dropout(hidden.gather(1, back))
        return encoded

    def activation_bytes(self, step: Step) -> float:
        of_hidden = 60.0 + 33.0 * self.gru.num_layers  # measured on the CPU
        return of_hidden * step.batch * step.time * self.config.hidden_units


def _wrapped(places: Tensor, time: int) -> Tensor:
    """Return places from -T to 2T - 1 modulo T, by operations that ONNX has for any T."""
    places = torch.where(places < 0, places + time, places)
    return torch.where(places < time, places, places - time)
