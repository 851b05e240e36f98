"""The configuration of reports."""

from __future__ import annotations

from seqtune.core.config import Section


class ReportConfig(Section):
    """`report` in conf/base/parameters_report.yml."""

    enabled: bool = True
    """Write a page for every run that has nodes of a task."""
