"""What is switched on, and whether it can be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from seqtune.core.config import Section
from seqtune.core.errors import ConfigurationError

SWITCH = "SEQTUNE_TRACKING"
OFF = ("off", "false", "no", "0")
ON = ("", "on", "true", "yes", "1")
KEY = "WANDB_API_KEY"


class TrackingConfig(Section):
    """Who hears of a run."""

    mlflow: bool = True
    log_model: bool = True
    """The trained model (or the ensemble) in MLflow, ready to be served."""
    tensorboard: bool = False
    wandb: Literal["off", "offline", "online"] = "off"
    """offline: written to the data folder, for `wandb sync`."""
    wandb_project: Annotated[str, Field(min_length=1)] = "seqtune"
    """Where its runs are put."""
    gpu_every_seconds: Annotated[float, Field(ge=0.0)] = 10.0
    """Between two looks at the GPUs, where there are any; 0: none."""

    @field_validator("wandb", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: Any) -> Any:
        return "off" if value is False else value

    @property
    def is_off(self) -> bool:
        return not self.mlflow and not self.tensorboard and self.wandb == "off"


def choose(config: TrackingConfig, environment: Mapping[str, str] = os.environ) -> TrackingConfig:
    """The configuration, or all off where the environment says so."""
    said = environment.get(SWITCH, "").strip().lower()
    if said in OFF:
        return config.model_copy(update={"mlflow": False, "tensorboard": False, "wandb": "off"})
    if said in ON:
        return config
    raise ConfigurationError(
        f"the environment variable {SWITCH}={said!r} is neither off (nothing is tracked) nor on "
        "(as the parameters `tracking` say)"
    )


def require_installed(config: TrackingConfig) -> None:
    """Refuse what was asked for and is not there, before anything runs."""
    faults = []
    if config.mlflow and not _is_there("mlflow"):
        faults.append(_missing("mlflow=true", "mlflow", off="mlflow=false"))
    if config.tensorboard and not _is_there("tensorboard"):
        faults.append(_missing("tensorboard=true", "tensorboard", off="tensorboard=false"))
    if config.wandb != "off" and not _is_there("wandb"):
        faults.append(_missing(f"wandb={config.wandb}", "wandb", off="wandb=off"))
    elif config.wandb == "online" and not _is_logged_in():
        faults.append(
            f"tracking.wandb=online, but nobody is logged in to Weights & Biases: run `wandb "
            f"login`, set {KEY}, or take tracking.wandb=offline"
        )
    if faults:
        raise ConfigurationError(faults)


def _missing(asked: str, package: str, *, off: str) -> str:
    return (
        f"tracking.{asked}, but {package} is not installed: pip install 'seqtune[tracking]', or "
        f"switch it off (tracking.{off})"
    )


def _is_there(module: str) -> bool:
    return find_spec(module) is not None


def _is_logged_in() -> bool:
    if os.environ.get(KEY):
        return True
    import wandb

    return bool(wandb.api.api_key)
