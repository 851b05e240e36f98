"""How much memory may be planned with."""

from __future__ import annotations

import pytest

from seqtune.core.config import TrainingConfig
from seqtune.core.format import MIB
from seqtune.training import available_memory_mib, memory

CPU = TrainingConfig(accelerator="cpu")


def test_sharers_share() -> None:
    alone, shared = available_memory_mib(CPU), available_memory_mib(CPU, sharers=4)
    assert alone is not None
    assert shared is not None
    assert 64 < alone < 10**8
    assert shared == pytest.approx(alone / 4, rel=0.2)


def test_a_container_with_less_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free_in_container", lambda: 100.0 * MIB)
    assert available_memory_mib(CPU) == pytest.approx(90.0)
