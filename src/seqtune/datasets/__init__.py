"""Kedro dataset classes: what turns bytes into objects, and paths into promises."""

from .artifact import Artifact
from .optional_yaml import OptionalYAML
from .raw_files import RawFiles
from .scratch import Scratch
from .study_storage import StudyStorage

__all__ = ["Artifact", "OptionalYAML", "RawFiles", "Scratch", "StudyStorage"]
