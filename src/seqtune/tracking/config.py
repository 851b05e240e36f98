"""The configuration of tracking, and the check that its packages are installed."""

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
    """Where a run is logged."""

    mlflow: bool = True
    log_model: bool = True
    """Log the trained model or ensemble to MLflow, ready to be served."""
    tensorboard: bool = False
    wandb: Literal["off", "offline", "online"] = "off"
    """offline: write to the data folder, for `wandb sync`."""
    wandb_project: Annotated[str, Field(min_length=1)] = "seqtune"
    """The project that runs are logged to."""
    gpu_every_seconds: Annotated[float, Field(ge=0.0)] = 10.0
    """Interval between measurements of the GPUs, if any; 0: never."""

    @field_validator("wandb", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: Any) -> Any:
        return "off" if value is False else value

    @property
    def is_off(self) -> bool:
        return not self.mlflow and not self.tensorboard and self.wandb == "off"


def choose(config: TrackingConfig, environment: Mapping[str, str] = os.environ) -> TrackingConfig:
    """Return the configuration, with everything off if the environment says so."""
    switch = environment.get(SWITCH, "").strip().lower()
    if switch in OFF:
        return config.model_copy(update={"mlflow": False, "tensorboard": False, "wandb": "off"})
    if switch in ON:
        return config
    raise ConfigurationError(
        f"the environment variable {SWITCH}={switch!r} is neither off (nothing is tracked) nor on "
        "(as the parameters `tracking` say)"
    )


def require_installed(config: TrackingConfig) -> None:
    """Refuse sinks whose package or login is missing, before anything runs."""
    wanted = {
        "mlflow": ("true" if config.mlflow else "", "false"),
        "tensorboard": ("true" if config.tensorboard else "", "false"),
        "wandb": ("" if config.wandb == "off" else config.wandb, "off"),
    }
    faults = [
        f"tracking.{name}={on}, but {name} is not installed: pip install 'seqtune[tracking]', or "
        f"switch it off (tracking.{name}={off})"
        for name, (on, off) in wanted.items()
        if on and find_spec(name) is None
    ]
    if config.wandb == "online" and find_spec("wandb") and not _is_logged_in():
        faults.append(
            "tracking.wandb=online, but there is no login to Weights & Biases: run `wandb login`, "
            f"set {KEY}, or use tracking.wandb=offline"
        )
    if faults:
        raise ConfigurationError(faults)


def _is_logged_in() -> bool:
    if os.environ.get(KEY):
        return True
    import wandb

    return bool(wandb.api.api_key)
