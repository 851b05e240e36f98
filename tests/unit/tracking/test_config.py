"""What is switched on, and that it is refused at once where it cannot be."""

from __future__ import annotations

import sys

import pytest

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Layer, resolve
from seqtune.tracking import TrackingConfig, choose, require_installed


def parse(**values: object) -> TrackingConfig:
    return resolve(TrackingConfig, Layer("conf", values), root="tracking").config


def test_mlflow_alone_is_on_by_default() -> None:
    config = choose(TrackingConfig(), {})

    assert (config.mlflow, config.tensorboard, config.wandb) == (True, False, "off")


def test_yaml_reads_off_as_false_and_means_off() -> None:
    assert parse(wandb=False).wandb == "off"


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false"])
def test_one_variable_switches_everything_off(word: str) -> None:
    everything = parse(tensorboard=True, wandb="offline")

    assert not everything.is_off
    assert choose(everything, {"SEQTUNE_TRACKING": word}).is_off


def test_variable_that_says_neither_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SEQTUNE_TRACKING='of' is neither off"):
        choose(TrackingConfig(), {"SEQTUNE_TRACKING": "of"})


def test_unknown_word_for_wandb_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"tracking.wandb='always'.*\(set in conf\)"):
        parse(wandb="always")


def test_all_that_is_not_installed_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorboard", "wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError) as caught:
        require_installed(parse(tensorboard=True, wandb="offline"))

    faults = caught.value.faults
    assert [fault.split(",")[0] for fault in faults] == [
        "tracking.mlflow=true",
        "tracking.tensorboard=true",
        "tracking.wandb=offline",
    ]
    assert all("pip install 'seqtune[tracking]'" in fault for fault in faults)


def test_what_is_off_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)

    require_installed(TrackingConfig())


def test_wandb_online_asks_for_a_login_before_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path_factory.mktemp("home") / "netrc"))

    with pytest.raises(ConfigurationError, match="there is no login"):
        require_installed(parse(wandb="online"))
