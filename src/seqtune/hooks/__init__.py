"""Kedro hooks, one file for each thing that happens around a run."""

from .parameters import ParameterHooks
from .report import ReportHooks
from .tracking import TrackingHooks

__all__ = ["ParameterHooks", "ReportHooks", "TrackingHooks"]
