"""Adam that only updates rows with a gradient, for embeddings of large catalogues.

A module opts in with `nn.Embedding(sparse=True)`. Sparse gradients update moments and values of
their rows only, as in torch.optim.SparseAdam; the bias correction counts all steps. torch's Adam
handles dense gradients. Decoupled weight decay (AdamW) reaches every row: its factors accumulate
and multiply the whole parameter once in DECAY_EVERY steps. Coupled decay (Adam) is part of the
gradient, so it reaches rows with a gradient only.

Shapes: V rows of a parameter, R of them with a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

DECAY_EVERY = 100
"""At a usual decay of 1e-5 per step, no row is ever off by more than a thousandth."""


def has_sparse_gradients(module: nn.Module) -> bool:
    return any(getattr(part, "sparse", False) for part in module.modules())


class LazyAdam(torch.optim.Adam):
    """Adam, or AdamW with `decoupled_weight_decay`; see the module."""

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        lazily = [
            (group, parameter, parameter.grad.coalesce())
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None and parameter.grad.is_sparse
        ]
        for _, parameter, _ in lazily:
            parameter.grad = None  # torch's Adam refuses it
        super().step()
        for group, parameter, gradient in lazily:
            _step(parameter, gradient, self.state[parameter], group)
            parameter.grad = gradient
        return loss


def _step(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: Any) -> None:
    """Update the rows of a coalesced gradient."""
    if not state:
        state |= {"step": torch.tensor(0.0), "pending_decay": 1.0}
        state |= {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
    state["step"] += 1
    step = int(state["step"])
    rows, values = gradient.indices()[0], gradient.values()  # [R], [R, ...]
    if group["decoupled_weight_decay"]:
        state["pending_decay"] *= 1.0 - group["lr"] * group["weight_decay"]
        if step % DECAY_EVERY == 0:
            parameter.mul_(state["pending_decay"])
            state["pending_decay"] = 1.0
    elif group["weight_decay"]:
        values = values.add(parameter.index_select(0, rows), alpha=group["weight_decay"])
    beta1, beta2 = group["betas"]
    mean = state["exp_avg"].index_select(0, rows).lerp_(values, 1.0 - beta1)
    square = state["exp_avg_sq"].index_select(0, rows)
    square.mul_(beta2).addcmul_(values, values, value=1.0 - beta2)
    state["exp_avg"].index_copy_(0, rows, mean)
    state["exp_avg_sq"].index_copy_(0, rows, square)
    by_mean, by_square = (1.0 - beta**step for beta in (beta1, beta2))
    change = mean.div_(square.sqrt_().div_(by_square**0.5).add_(group["eps"]))
    parameter.index_add_(0, rows, change, alpha=-group["lr"] / by_mean)


def clip_norm(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Clip the norm of all gradients, sparse ones included, like `clip_grad_norm_`."""
    values = []
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None and gradient.is_sparse:
            parameter.grad = gradient.coalesce()  # add up duplicate rows
            gradient = parameter.grad.values()
        if gradient is not None:
            values.append(gradient)
    norm = nn.utils.get_total_norm(values)
    torch._foreach_mul_(values, (max_norm / (norm + 1e-6)).clamp(max=1.0))
