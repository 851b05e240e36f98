"""Kedro dataset classes: what turns bytes into objects, and paths into promises."""

from .artifact import Artifact
from .optional import OptionalJSON, OptionalYAML
from .raw_files import RawFiles
from .raw_tables import RawTables
from .scratch import Scratch
from .store import Store
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
