"""The reports of a run: its page, the index of all pages, the summary in the terminal, and the
records for loggers. All are made from `RunFacts`.

Nothing here depends on the task, and nothing reads credentials or the environment.
"""

from .facts import Failure, NodeTime, RunFacts, RunRecord
from .summary import print_summary
from .write import ReportConfig, write_report

__all__ = [
    "Failure",
    "NodeTime",
    "ReportConfig",
    "RunFacts",
    "RunRecord",
    "print_summary",
    "write_report",
]
