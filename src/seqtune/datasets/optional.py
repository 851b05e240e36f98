"""Kedro's YAML and JSON datasets that load None if there is no file."""

from __future__ import annotations

from typing import Any

from kedro.io.core import VersionNotFoundError
from kedro_datasets.json import JSONDataset
from kedro_datasets.yaml import YAMLDataset


class _Optional:
    """A mixin, to precede a versioned dataset of Kedro's among the bases of a class."""

    _version: Any

    def load(self) -> Any:
        wanted = self._version.load if self._version else None
        if not wanted and not self._exists():  # type: ignore[attr-defined]  # of the other base
            return None
        try:
            return super().load()  # type: ignore[misc]
        except VersionNotFoundError:
            return None


class OptionalYAML(_Optional, YAMLDataset):  # type: ignore[misc]  # kedro-datasets has no types
    """YAML for people, with keys in their original order."""

    def __init__(self, *, save_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        settings = {"sort_keys": False, "default_flow_style": False, "allow_unicode": True}
        super().__init__(save_args={**settings, **(save_args or {})}, **kwargs)


class OptionalJSON(_Optional, JSONDataset):  # type: ignore[misc]
    """The JSON of a stage that may not have run."""
