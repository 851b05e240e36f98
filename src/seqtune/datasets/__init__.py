"""Kedro dataset classes: what turns bytes into objects, and paths into promises."""

from .artifact import Artifact
from .raw_files import RawFiles
from .scratch import Scratch

__all__ = ["Artifact", "RawFiles", "Scratch"]
