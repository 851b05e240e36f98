"""Write a network as an ONNX graph, and a graph with weights in 8 bits.

GRU layers become one operator of ONNX: torch.export unrolls them over the length of its example.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from seqtune.core.errors import ArtifactError, ConfigurationError

EXACT, SMALL = "fp32", "int8"
LARGE_BYTES = 1 << 30
"""Weights beyond it are a file of their own: protobuf ends at 2 GiB."""
QUANTIZED = ("MatMul", "Gather")
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_packages() -> None:
    """Refuse to begin without what writes and runs graphs."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"an export needs {', '.join(missing)}, not installed here: pip install "
            "'seqtune[export]'"
        )


def write_graphs(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    folder: Path,
    *,
    precisions: Collection[str],
) -> None:
    """Write the graphs of a member of an export, one for each precision, as `<precision>.onnx`.

    `inputs` [B, T] are an example, with padding where the network can have it; all their sizes stay
    variable if they are not 1.
    """
    folder.mkdir(parents=True)
    exact = folder / f"{EXACT}.onnx"
    write_graph(network, inputs, outputs, exact)
    for precision in set(precisions) - {EXACT}:
        quantize(exact, folder / f"{precision}.onnx")


def write_graph(
    network: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path
) -> None:
    """Trace a network in evaluation mode."""
    with _explained():
        sizes = dict.fromkeys(range(2), torch.export.Dim.DYNAMIC)
        network = _with_onnx_gru(network).eval()
        with torch.no_grad(), _quiet():
            program = torch.export.export(
                network, tuple(inputs.values()), dynamic_shapes=tuple(sizes for _ in inputs)
            )
            torch.onnx.export(
                program,
                f=path,
                input_names=list(inputs),
                output_names=list(outputs),
                external_data=_num_bytes(network) > LARGE_BYTES,
                verbose=False,
            )


def quantize(path: Path, to: Path) -> None:
    """Write a graph with weights in 8 bits, whose inputs are quantised as they come."""
    with _explained(), _quiet():
        from onnxruntime.quantization import quantize_dynamic

        quantize_dynamic(
            path,
            to,
            per_channel=True,
            op_types_to_quantize=list(QUANTIZED),
            use_external_data_format=path.stat().st_size > LARGE_BYTES,
        )


class OnnxGRU(nn.Module):
    """An `nn.GRU` with `batch_first` in evaluation, as operators of ONNX."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self._hidden = gru.hidden_size
        for layer in range(gru.num_layers):
            inputs, states, *biases = (
                _in_order_of_onnx(getattr(gru, f"{name}_l{layer}").detach())
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            for name, value in (("i", inputs), ("s", states), ("b", torch.cat(biases))):
                self.register_buffer(f"{name}{layer}", value[None])
        self._layers = gru.num_layers

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        x = x.transpose(0, 1)  # [T, B, D]
        for layer in range(self._layers):
            weights = (getattr(self, f"{name}{layer}") for name in "isb")
            states = torch.onnx.ops.symbolic(
                "GRU",
                (x, *weights),
                {"hidden_size": self._hidden, "linear_before_reset": 1},
                dtype=x.dtype,
                shape=(x.shape[0], 1, x.shape[1], self._hidden),
            )
            x = states.squeeze(1)
        return x.transpose(0, 1), None


def _with_onnx_gru(network: nn.Module) -> nn.Module:
    """Return the network, or a copy whose GRUs can be exported."""
    found = [name for name, part in network.named_modules() if isinstance(part, nn.GRU)]
    if found:
        network = deepcopy(network)
    for name in found:
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, OnnxGRU(network.get_submodule(name)))  # type: ignore[arg-type]
    return network


def _in_order_of_onnx(gates: Tensor) -> Tensor:
    """Reorder reset, update and new gates to update, reset and new."""
    reset, update, new = gates.chunk(3)
    return torch.cat([update, reset, new])


def _num_bytes(network: nn.Module) -> int:
    return sum(value.nbytes for value in network.state_dict().values())


@contextmanager
def _explained() -> Iterator[None]:
    """Say that a network has no graph."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ArtifactError(f"the network cannot be written as an ONNX graph: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the remarks of the exporters on packages, operators and their own code."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
