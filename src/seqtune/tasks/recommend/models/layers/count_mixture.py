"""Item-to-item counts beside a network, mixed by a learned gate.

    p(next) = (1 - gate) * softmax(network) + gate * q(next)

q are the counts of `cooccurrence` after the last items, as probabilities. Counts keep rare pairs
that a narrow network cannot; the network learns what they do not explain. In training, a sequence
is left out of its own counts, or the gate would trust them too much.

Shapes: B batch, K last items, M positions, D hidden, V items.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...cooccurrence import Cooccurrence
from ...losses.cross_entropy import Mixture


class CountMixture(nn.Module):
    def __init__(self, counts: Cooccurrence, *, hidden: int) -> None:
        super().__init__()
        self.counts = counts
        self.gate = nn.Linear(hidden + 1, 1)

    def of_targets(self, hidden: Tensor, contexts: Tensor, targets: Tensor) -> Mixture:
        """Return the mixture at training positions [M, D] after `contexts` [M, K]."""
        total = self.counts.sum_of_scores(contexts)
        share = self.counts.scores_without_own(contexts, targets)
        return Mixture(self._gate(hidden, total), share / total)

    def log_probabilities(self, scores: Tensor, hidden: Tensor, contexts: Tensor) -> Tensor:
        """Return fp32 [B, V] from the network's scores [B, V] of the next item."""
        total = self.counts.sum_of_scores(contexts)
        gate = self._gate(hidden, total)[:, None]
        shares = self.counts.scores(contexts) / total[:, None]
        network = scores.log_softmax(1) + functional.logsigmoid(-gate)
        return torch.logaddexp(network, shares.log() + functional.logsigmoid(gate))

    def _gate(self, hidden: Tensor, total: Tensor) -> Tensor:
        """Return fp32 logits [M], by the hidden states and by how much the counts know."""
        with torch.autocast(hidden.device.type, enabled=False):
            inputs = torch.cat([hidden.float(), total.log1p()[:, None]], dim=1)
            logits: Tensor = self.gate(inputs).squeeze(1)
        return logits
