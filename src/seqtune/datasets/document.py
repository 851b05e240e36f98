"""`Document`: a single file in a format of Kedro's datasets, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from seqtune.core.errors import ArtifactError

from .object_storage import is_remote
from .version_store import ObjectStore
from .versioned import Versioned

END_OF_YAML = "..."


class Document(Versioned[Any, Any, ObjectStore]):
    """JSON, a table, a figure or a page.

    Args:
        format: The entry of the dataset of Kedro's that reads and writes it, or its type alone.
    """

    def __init__(self, *, format: str | dict[str, Any], **arguments: Any) -> None:  # noqa: A002
        self._format = {"type": format} if isinstance(format, str) else format
        self._access = {name: arguments.get(name) for name in ("credentials", "fs_args")}
        super().__init__(remote=ObjectStore, **arguments)

    def load(self) -> Any:
        if (path := self._find()) is None:
            return None
        with self._place.reading(path) as file:
            return self._read(file, self._place.spelled(path))

    def save(self, data: Any) -> None:
        with self._place.writing(str(self._get_save_path())) as file:
            self._at(str(file)).save(data)

    @property
    def preview(self) -> Callable[..., Any]:
        """The preview of the format, for Kedro-Viz, which goes by the type that it returns."""
        if not self.exists():
            raise AttributeError("there is nothing to show")
        address = self._place.spelled(str(self._get_load_path()))
        of_format: Any = self._at(address, **(self._access if is_remote(address) else {}))
        preview: Callable[..., Any] = of_format.preview
        return preview

    def _read(self, file: Path, spelled: str) -> Any:
        try:
            value = self._at(str(file)).load()
            fault = "it is empty" if value is None else self._find_cut(file)
        except DatasetError as error:
            fault = " ".join(str(error.__cause__ or error).split())
        if fault:
            again = f" (`{self._command}`)" if self._made_by else ""
            raise ArtifactError(
                f"{spelled} is cut off or damaged ({fault}); choose another version with "
                f"--load-versions, delete this one, or make it again{again}"
            )
        return value

    def _find_cut(self, _file: Path) -> str:
        """Say how a file that can be read shows that its end is missing; empty if it does not."""
        return ""

    def _at(self, address: str, **access: Any) -> AbstractDataset[Any, Any]:
        return AbstractDataset.from_config(
            "document", {"filepath": address, **self._format, **access}
        )


class YAMLDocument(Document):
    """YAML for people, with keys in their original order.

    Half of a YAML file can be valid, so it is written with marks of its start and its end.
    """

    def __init__(self, **arguments: Any) -> None:
        marks = {"explicit_start": True, "explicit_end": True}
        style = {"sort_keys": False, "default_flow_style": False, "allow_unicode": True}
        written = {"type": "yaml.YAMLDataset", "save_args": {**style, **marks}}
        super().__init__(format=written, **arguments)

    def _find_cut(self, file: Path) -> str:
        lines = file.read_text(encoding="utf-8").split("\n")
        if lines[0].rstrip() != "---" or END_OF_YAML in map(str.rstrip, lines):
            return ""
        return f"it begins with --- and has no line {END_OF_YAML} at its end"
