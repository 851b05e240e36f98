"""Kedro's configuration loader, strict, and with the file that set each parameter."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from glob import glob
from importlib.metadata import entry_points
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.project import pipelines
from kedro.io import CatalogConfigResolver, DatasetError
from kedro.io.core import parse_dataset_definition
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override

from seqtune.core.errors import ConfigurationError, close_name, did_you_mean
from seqtune.core.files import has_magic, plain_path
from seqtune.core.resolve import flatten
from seqtune.core.yaml_files import YamlFile, read_yaml

logger = logging.getLogger(__name__)

PARAMETERS, CREDENTIALS, CATALOG, GLOBALS = "parameters", "credentials", "catalog", "globals"
PATHS = ("data", "scratch", "tracking")
"""The globals that are paths."""
STUDY_URL = "SEQTUNE_STUDY_URL"
SUFFIXES = (".yml", ".yaml", ".json")
PLUGINS = "kedro.project_commands"
"""The entry points of Kedro's plugins for projects; their files in conf begin with their names."""
REFERENCES = (
    "${globals:<name of globals.yml>}, ${env:<environment variable>,<default>} or "
    "${<dotted key of these files>}"
)


class OriginConfigLoader(OmegaConfigLoader):
    """`OmegaConfigLoader` that ignores nothing silently and knows the origin of every parameter.

    Kedro only returns merged values, so origins come from reading the same files by the same
    patterns (decision 0043). Credentials are optional. Configuration in an archive or at an
    address is read as Kedro reads it.
    """

    def __init__(self, conf_source: str, env: str | None = None, **options: Any) -> None:
        self._source = Path(conf_source)
        self._known: dict[Path, YamlFile] = {}
        if self._source.is_dir():
            _require_folder(self._source, env or options.get("default_run_env"))
            conf_source = str(plain_path(self._source))
        super().__init__(conf_source, env, **options)

    @override
    def __getitem__(self, key: str) -> dict[str, Any]:
        if key in self:  # set from outside
            return super().__getitem__(key)
        files = list(self._read(key))
        try:
            values = super().__getitem__(key)
        except MissingConfigException:
            if key != CREDENTIALS:
                raise
            values = {}
        except OmegaConfBaseException as error:
            raise ConfigurationError(self._unresolved(error, files)) from error
        if key == CREDENTIALS:
            # the study's database may come from an environment variable alone
            values = Credentials({"study": {"url": os.environ.get(STUDY_URL)}, **values})
        if faults := list(self._find_faults(key, values, files)):
            raise ConfigurationError(faults)
        root = self._source.parent
        return _below(plain_path(root), values) if key == CATALOG and has_magic(root) else values

    @cached_property
    def parameter_origins(self) -> Mapping[str, str]:
        """Map each dotted key to the file that set it, such as `conf/base/parameters.yml`."""
        return {
            key: file.origin for file in self._read(PARAMETERS) for key, _ in flatten(file.values)
        }

    def _environments(self) -> list[str]:
        return list(dict.fromkeys((self.base_env, self.env or self.default_run_env)))

    def _read(self, key: str) -> Iterator[YamlFile]:
        """Read the files of a kind, those of the environment after those of base."""
        for file in self._files(*self.config_patterns.get(key, ())):
            if file not in self._known:
                self._known[file] = read_yaml(file, self._origin(file))
            yield self._known[file]

    def _files(self, *patterns: str) -> Iterator[Path]:
        for environment in self._environments():
            folder = self._source / environment
            names = {n for p in patterns for n in glob(p, root_dir=folder, recursive=True)}
            yield from (folder / name for name in sorted(names) if name.endswith(SUFFIXES))

    def _origin(self, file: Path) -> str:
        return str(Path(self._source.name) / file.relative_to(self._source))

    def _is_base(self, file: YamlFile) -> bool:
        return Path(file.origin).parts[1] == self.base_env

    def _find_faults(
        self, key: str, values: Mapping[str, Any], files: Iterable[YamlFile]
    ) -> Iterator[str]:
        written = {name: file.place(name) for file in files for name in file.values}
        if key == GLOBALS:
            yield from self._unread_files()
            used = self._mentioned(r"\$\{globals:\s*(\w+)")
            for name, place in written.items():
                if name not in used:
                    yield f"{place}: no file of conf uses {name}; {did_you_mean(name, used)}"
                elif name in PATHS and not (isinstance(values[name], str) and values[name].strip()):
                    yield (
                        f"{place}: {name}={values[name]!r} is not a path; write one such as data, "
                        "or take the line out"
                    )
        elif key == CREDENTIALS:
            used = [*self._mentioned(r"'credentials': '([^']+)'"), "study"]
            for name, place in written.items():
                yield from _unused(place, name, used, "no entry of the catalog asks for")
        elif key == CATALOG:
            shipped = [file.values for file in files if self._is_base(file)]
            entries = [each for file in shipped for each in file.items()]
            base = {n: e["type"] for n, e in entries if isinstance(e, Mapping) and "type" in e}
            own = {name for file in files if not self._is_base(file) for name in file.values}
            for name in (each for each in sorted(own) if not each.startswith("_")):
                if fault := _entry_fault(values.get(name), base.values()):
                    yield f"{written[name]}: {name} {fault}"
                yield from _unused_entry(written[name], name, base)

    def _unread_files(self) -> Iterator[str]:
        """Find files that no pattern matches, and folders that cannot be read."""
        patterns = [pattern for kind in self.config_patterns.values() for pattern in kind]
        read = set(self._files(*patterns))
        for environment in self._environments():
            for folder, _, names in os.walk(self._source / environment, onerror=_refuse_folder):
                for file in (Path(folder, name) for name in names):
                    is_hidden = "/." in str(file.relative_to(self._source))
                    if file.suffix not in SUFFIXES or file in read or is_hidden:
                        continue
                    if not file.stem.startswith(_plugin_names()):
                        yield (
                            f"{self._origin(file)} would not be read: names begin with "
                            f"{', '.join(self.config_patterns)} (globals: globals.yml alone), or "
                            "with the name of an installed plugin of Kedro; "
                            f"{did_you_mean(file.stem, list(self.config_patterns))}"
                        )

    def _mentioned(self, pattern: str) -> list[str]:
        """Return the names that this pattern captures in any value of conf."""
        files = (file for key in self.config_patterns for file in self._read(key))
        return sorted({name for file in files for name in re.findall(pattern, str(file.values))})

    def _unresolved(self, error: OmegaConfBaseException, files: Iterable[YamlFile]) -> str:
        key = re.sub(r"\[.*", "", error.full_key or "")
        written = [file.place(key) for file in files if key in file.lines]
        place = written[-1] if written else "--params"
        reason = str(error.msg or error).partition("\n")[0]
        return f"{place}: {error.full_key or 'a value'} has no value ({reason}); write {REFERENCES}"


class Credentials(dict[str, Any]):
    """Credentials by name; a missing one raises an error that says where to put it."""

    def __missing__(self, name: str) -> Any:
        raise ConfigurationError(
            f"the catalog asks for the credentials {name!r}, which are missing; write them to "
            f"conf/local/credentials.yml, which is not in git (`{name}: {{key: ...}}`, see "
            f"conf/README.md), or {did_you_mean(name, list(self))}"
        )


def _plugin_names() -> tuple[str, ...]:
    return tuple(entry_points(group=PLUGINS).names)


def _require_folder(source: Path, environment: str | None) -> None:
    folders = sorted(path.name for path in source.iterdir() if path.is_dir())
    if environment and environment not in folders:
        raise ConfigurationError(
            f"there is no environment {environment!r} (--env, KEDRO_ENV), a folder of "
            f"{source.name}; {did_you_mean(environment, folders)}"
        )


def _refuse_folder(error: OSError) -> None:
    raise ConfigurationError(
        f"the folder {error.filename} cannot be read ({error.strerror}); nothing in it would count"
    ) from error


def _below(root: Path, values: Any) -> Any:
    """Make relative paths absolute, as Kedro would, but below this folder."""
    if not isinstance(values, dict):
        return values
    return {
        key: str(root / value)
        if key == "filepath" and isinstance(value, str) and "://" not in value
        else _below(root, value)
        for key, value in values.items()
    }


def _unused(place: str, name: str, used: Collection[str], why: str) -> Iterator[str]:
    """Yield a fault for a name that looks misspelt; warn of any other that nothing uses."""
    if name in used:
        return
    if close := close_name(name, used, cutoff=0.8):
        yield f"{place}: {why} {name}; did you mean {close!r}?"
    else:
        logger.warning("%s: %s %s", place, why, name)


def _unused_entry(place: str, name: str, base: Mapping[str, str]) -> Iterator[str]:
    used = {each for pipeline in pipelines.values() for each in pipeline.datasets()}
    patterns = CatalogConfigResolver({each: {"type": kind} for each, kind in base.items()})
    if used and name not in base and not patterns.match_dataset_pattern(name):
        yield from _unused(place, name, used, "no pipeline uses")


def _entry_fault(entry: Any, types: Iterable[str]) -> str:
    """Return what is wrong with an entry of the catalog; empty: nothing."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        return "is no dataset: below it stand `type: ...` and the arguments of that type"
    try:
        kind, arguments = parse_dataset_definition(dict(entry))
    except DatasetError as error:
        hint = did_you_mean(entry["type"], sorted(set(types)))
        return f"has no valid type ({str(error).partition(chr(10))[0]}); {hint}"
    allowed = signature(kind).parameters
    if any(each.kind is Parameter.VAR_KEYWORD for each in allowed.values()):
        return ""
    unknown = [key for key in arguments if key not in allowed]
    hints = (f"{key}: {did_you_mean(key, list(allowed))}" for key in unknown)
    return (
        f"has arguments that {entry['type']} does not take: {', '.join(hints)}" if unknown else ""
    )
