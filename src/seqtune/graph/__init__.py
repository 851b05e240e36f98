"""The pipelines as a site of files: Kedro-Viz, opening at an overview of the method."""

from .site import build_site

__all__ = ["build_site"]
