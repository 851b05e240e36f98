"""Kedro datasets: files and folders, on this machine or in object storage."""

from .artifact import Artifact
from .optional import OptionalJSON, OptionalYAML
from .raw_files import RawFiles
from .raw_tables import RawTables
from .scratch import Scratch, Store
from .study_storage import StudyStorage

__all__ = [
    "Artifact",
    "OptionalJSON",
    "OptionalYAML",
    "RawFiles",
    "RawTables",
    "Scratch",
    "Store",
    "StudyStorage",
]
