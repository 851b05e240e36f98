"""Who is in the ensemble: the best trials, other seeds, presets, or checkpoints that were named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from seqtune.core.checkpoint import MANIFEST, Checkpoint, open_checkpoint
from seqtune.core.config import EnsembleConfig, RunConfig, VerifyConfig, fingerprint
from seqtune.core.errors import (
    ArtifactError,
    ConfigurationError,
    SeqtuneError,
    did_you_mean,
)
from seqtune.core.parameters import IGNORE, RUNTIME, TaskParameters
from seqtune.core.resolve import flatten
from seqtune.core.seeds import derive_seed
from seqtune.core.task import TaskSpec, TrainingData

from .._best_config import BestConfig, require_agreement
from .._resolution import EPOCHS, resolve_run, training_fingerprint
from .members import TRAINED, MemberPlan, PlannedMember, distinct, require_fit


@dataclass(frozen=True)
class MemberSelector:
    """All that the choice depends on."""

    task: TaskSpec
    parameters: TaskParameters
    settings: EnsembleConfig
    verify: VerifyConfig
    data: TrainingData
    trained: Checkpoint
    trials: Sequence[BestConfig]
    """What tuning left, best first; empty: nothing."""

    def choose(self) -> MemberPlan:
        """The trained checkpoint, then the others."""
        require_fit(self.trained, self.task, self.data)
        kind, why = self._kind()
        first = PlannedMember(
            name=TRAINED,
            origin="the trained checkpoint",
            fingerprint=self.trained.manifest.fingerprint,
            checkpoint=self.trained.path,
        )
        if kind == "checkpoints":
            return MemberPlan(tuple(distinct([first, *self._named()])), kind, why)
        others = {"trials": self._trials, "presets": self._presets}.get(kind, self._seeds)()
        members = [first]
        for other in others:
            members = distinct([*members, other])
            if len(members) > self.settings.top:
                members.pop()
                break
        if len(members) < self.settings.top:
            why += f"; {len(members)} is all there are, of ensemble.top={self.settings.top}"
        return MemberPlan(tuple(members), kind, why)

    def _kind(self) -> tuple[str, str]:
        wanted, root = self.settings.members, "ensemble.members"
        if wanted in ("seeds", "presets", "checkpoints"):
            return wanted, f"{root}={wanted}"
        unfit = self._why_no_trials()
        if not unfit:
            return "trials", f"{root}={wanted}: the best trials of {self.trials[0].stage}"
        if wanted == "auto":
            return "seeds", f"{root}=auto: {unfit}, so other seeds of the trained configuration"
        raise ConfigurationError(
            f"{root}=trials, but {unfit}. Run `kedro run --pipelines {self.task.name}.tune` and "
            "`.train`, or choose seeds or checkpoints"
        )

    def _why_no_trials(self) -> str:
        """Empty where the trials of tuning can be taken."""
        name = self.task.name
        if self.parameters.best_config == IGNORE:
            return f"{name}.best_config=ignore leaves tuning aside"
        if not self.trials:
            return f"tuning has left no trials ({name}.top_configs)"
        before, now = self.trials[0].data_hash, self.data.content_hash
        if self.data.has_validation and before != now:
            return (
                f"the trials of {name}.top_configs are of another split (content {before[:12]}, "
                f"now {now[:12]})"
            )
        return ""

    def _trials(self) -> Iterator[PlannedMember]:
        """Those whose weights differ: of trials that differ in what training never reads, one."""
        seen: set[str] = set()
        for best in self.trials:
            resolved, _ = resolve_run(self.task, self.parameters, self.data, layer=best.layer)
            if not self.data.has_validation and resolved.origins.get(EPOCHS) != RUNTIME:
                origin = f"best epoch of trial {best.trial}"
                resolved = resolved.replace(EPOCHS, best.best_epoch, origin=origin)
            require_agreement(best, resolved, self.data, on_mismatch=self.verify.on_mismatch)
            _, weights = training_fingerprint(self.task, resolved.config, self.data)
            if weights in seen:
                continue
            seen.add(weights)
            print_of_it = fingerprint(resolved.config, data_hash=self.data.content_hash)
            yield PlannedMember(
                name=f"trial-{best.trial}-{print_of_it[:6]}",
                origin=f"trial {best.trial} of {best.study}",
                fingerprint=print_of_it,
                config=resolved.config,
                known_score=best.metrics.get(resolved.config.training.monitor),
            )

    def _presets(self) -> Iterator[PlannedMember]:
        """The task's configuration under its presets, without what tuning found."""
        root = "ensemble.presets"
        if not self.data.has_validation:
            raise ConfigurationError(
                "ensemble.members=presets needs something held out to find each one's best epoch "
                "on, and split.use_full_data leaves nothing; choose seeds or checkpoints"
            )
        for name in self.settings.presets or self.parameters.presets:
            if name not in self.parameters.presets:
                raise ConfigurationError(
                    f"{root}: {name!r} is no preset of {self.task.name}; "
                    f"{did_you_mean(name, list(self.parameters.presets))}"
                )
            parameters = self.parameters._replace(preset=name)
            config = resolve_run(self.task, parameters, self.data)[0].config
            yield PlannedMember(
                name=f"preset-{name}",
                origin=f"preset {name}",
                fingerprint=fingerprint(config, data_hash=self.data.content_hash),
                config=config,
            )

    def _seeds(self) -> Iterator[PlannedMember]:
        config = self._own_configuration()
        for number in range(1, self.settings.top):
            seed = derive_seed(config.seed, "ensemble", number) % 2**32
            own = config.model_copy(update={"seed": seed})
            yield PlannedMember(
                name=f"seed-{seed}",
                origin=f"seed {seed}",
                fingerprint=fingerprint(own, data_hash=self.data.content_hash),
                config=own,
            )

    def _own_configuration(self) -> RunConfig:
        """What the checkpoint was trained by; what was typed otherwise would have no effect."""
        try:
            config = self.parameters.config_class.model_validate(self.trained.manifest.config)
        except ValidationError as error:
            first = error.errors()[0]
            raise ArtifactError(
                f"checkpoint {self.trained.path} holds a configuration that this version of "
                f"seqtune does not understand: {'.'.join(map(str, first['loc']))}: {first['msg']}; "
                "train again"
            ) from error
        then = dict(flatten(config.model_dump(mode="json")))
        now = dict(flatten(self.parameters.resolve().config.model_dump(mode="json")))
        faults = [
            f"{self.task.name}.{key}={now[key]!r} ({RUNTIME}) has no effect: members from seeds "
            f"are trained as the checkpoint was, with {then[key]!r}. Leave it out, or train again "
            "with it first"
            for key, _, _ in self.parameters.runtime.leaves()
            if now[key] != then[key]
        ]
        if faults:
            raise ConfigurationError(faults)
        return config

    def _named(self) -> list[PlannedMember]:
        members, faults = [], []
        for number, name in enumerate(self.settings.checkpoints, start=1):
            try:
                checkpoint = self._open(name)
                require_fit(checkpoint, self.task, self.data)
            except SeqtuneError as error:
                faults.append(f"ensemble.checkpoints: {error}")
                continue
            members.append(
                PlannedMember(
                    name=f"checkpoint-{number}",
                    origin=f"checkpoint {name}",
                    fingerprint=checkpoint.manifest.fingerprint,
                    checkpoint=checkpoint.path,
                )
            )
        if faults:
            raise ConfigurationError(faults)
        return members

    def _open(self, name: str) -> Checkpoint:
        """A folder, or a version of the dataset that the trained checkpoint is a version of."""
        versions = self.trained.path.parents[1]
        for folder in (Path(name), versions / name / self.trained.path.name):
            if (folder / MANIFEST).is_file():
                return open_checkpoint(folder)
        there = sorted(folder.name for folder in versions.iterdir() if folder.is_dir())
        raise ConfigurationError(
            f"{name!r} is neither the folder of a checkpoint ({MANIFEST} in it) nor a version "
            f"below {versions}, where there are {', '.join(there)}"
        )
