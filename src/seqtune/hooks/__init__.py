"""Kedro hooks: checked parameters and versions, tracking, and the report of a run."""

from .parameters import ParameterHooks
from .report import ReportHooks
from .tracking import TrackingHooks
from .versions import VersionHooks

__all__ = ["ParameterHooks", "ReportHooks", "TrackingHooks", "VersionHooks"]
