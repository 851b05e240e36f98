"""Kedro hooks: checked parameters, tracking, and the report of a run."""

from .parameters import ParameterHooks
from .report import ReportHooks
from .tracking import TrackingHooks

__all__ = ["ParameterHooks", "ReportHooks", "TrackingHooks"]
