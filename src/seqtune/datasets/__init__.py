"""Kedro datasets: files and folders, on this machine or in object storage."""

from .artifact import Artifact
from .document import Document, YAMLDocument
from .raw_files import RawFiles
from .raw_tables import RawTables
from .scratch import Scratch, Store
from .study_storage import StudyStorage

__all__ = [
    "Artifact",
    "Document",
    "RawFiles",
    "RawTables",
    "Scratch",
    "Store",
    "StudyStorage",
    "YAMLDocument",
]
