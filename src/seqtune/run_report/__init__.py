"""The report of a run: facts gathered from the catalog, drawn by `reporting.page`, and its index.

Nothing here knows what a film is, and nothing here reads credentials or environment variables.
"""

from .config import ReportConfig
from .record import Failure, RunRecord
from .write import report_dataset, write_report

__all__ = ["Failure", "ReportConfig", "RunRecord", "report_dataset", "write_report"]
