"""What is told of a run: its page, the index of all pages, the last lines in the terminal, and the
records of loggers. All of it is read from `RunFacts`.

Nothing here depends on what a task is about, and nothing reads credentials or the environment.
"""

from .config import ReportConfig
from .facts import Failure, NodeTime, RunFacts, RunRecord
from .summary import print_summary
from .write import write_report

__all__ = [
    "Failure",
    "NodeTime",
    "ReportConfig",
    "RunFacts",
    "RunRecord",
    "print_summary",
    "write_report",
]
