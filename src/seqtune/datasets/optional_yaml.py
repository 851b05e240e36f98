"""`OptionalYAML`: a YAML file that people may edit, and that need not be there yet."""

from __future__ import annotations

from typing import Any

from kedro.io.core import VersionNotFoundError
from kedro_datasets.yaml import YAMLDataset


class OptionalYAML(YAMLDataset):  # type: ignore[misc]  # kedro-datasets has no types
    """Kedro's YAML dataset, with keys in the order they were given; None where there is no file."""

    def __init__(self, *, save_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        settings = {"sort_keys": False, "default_flow_style": False, "allow_unicode": True}
        super().__init__(save_args={**settings, **(save_args or {})}, **kwargs)

    def load(self) -> dict[str, Any] | None:
        wanted = self._version.load if self._version else None
        if not wanted and not self._exists():
            return None
        try:
            values: dict[str, Any] = super().load()
        except VersionNotFoundError:
            return None
        return values
