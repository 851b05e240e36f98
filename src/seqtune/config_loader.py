"""Kedro's configuration loader, extended by the file that set each parameter."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import Any

import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader
from typing_extensions import override

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.resolve import flatten

PARAMETERS, CREDENTIALS = "parameters", "credentials"
STUDY_URL = "SEQTUNE_STUDY_URL"
SUFFIXES = (".yml", ".yaml", ".json")


class OriginConfigLoader(OmegaConfigLoader):
    """`OmegaConfigLoader` with the origin of every parameter; credentials are optional.

    Kedro only returns merged values, so the origins come from reading the same files by the same
    patterns (decision 0043).
    """

    @override
    def __getitem__(self, key: str) -> dict[str, Any]:
        if key == PARAMETERS:
            _ = self.parameter_origins  # raises a clear error for a broken file
        if key != CREDENTIALS or key in self:
            return super().__getitem__(key)
        try:
            written = super().__getitem__(key)
        except MissingConfigException:
            written = {}
        # the study's database may come from an environment variable alone
        return Credentials({"study": {"url": os.environ.get(STUDY_URL)}, **written})

    @cached_property
    def parameter_origins(self) -> Mapping[str, str]:
        """Map each dotted key to the file that set it, such as `conf/base/parameters.yml`."""
        return {
            key: origin
            for file, origin in self._parameter_files()
            for key, _ in flatten(_read(file, origin))
        }

    def _parameter_files(self) -> Iterator[tuple[Path, str]]:
        source = Path(self.conf_source)
        for environment in dict.fromkeys((self.base_env, self.env or self.default_run_env)):
            folder = source / environment
            names = {
                name
                for pattern in self.config_patterns[PARAMETERS]
                for name in glob(pattern, root_dir=folder, recursive=True)
            }
            for file in sorted(folder / name for name in names if name.endswith(SUFFIXES)):
                yield file, str(Path(source.name) / file.relative_to(source))


class Credentials(dict[str, Any]):
    """Credentials by name; a missing one raises an error that says where to put it."""

    def __missing__(self, name: str) -> Any:
        raise ConfigurationError(
            f"the catalog asks for the credentials {name!r}, which are missing; write them to "
            f"conf/local/credentials.yml, which is not in git (`{name}: {{key: ...}}`, see "
            f"conf/README.md), or {did_you_mean(name, list(self))}"
        )


def _read(file: Path, origin: str) -> Mapping[str, Any]:
    try:
        values = _parse(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{origin}: not UTF-8 text ({error}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(
            f"{origin}{where}: invalid YAML ({getattr(error, 'problem', error)}); look for a "
            "bracket, a quote or an indentation there"
        ) from error
    if not isinstance(values, Mapping | None):
        raise ConfigurationError(
            f"{origin}: a file of parameters contains groups (`recommend:` with its values "
            f"below it), not a {type(values).__name__}"
        )
    return values or {}


def _parse(text: str) -> Any:
    """Parse with libyaml if installed; PyYAML is ten times as slow but explains errors better."""
    fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=fast)  # noqa: S506
    except yaml.YAMLError:
        return yaml.safe_load(text)
