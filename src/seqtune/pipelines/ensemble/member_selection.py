"""The choice of members: the best trials, other seeds, presets, or named checkpoints; and beside
them the task's baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from seqtune.core.checkpoint import MANIFEST, Checkpoint, open_checkpoint
from seqtune.core.config import EnsembleConfig, RunConfig, VerifyConfig, fingerprint
from seqtune.core.errors import (
    ArtifactError,
    ConfigurationError,
    SeqtuneError,
    did_you_mean,
)
from seqtune.core.manifests import first_fault
from seqtune.core.parameters import IGNORE, RUNTIME, TaskParameters
from seqtune.core.resolve import flatten
from seqtune.core.seeds import derive_seed
from seqtune.core.task import TaskSpec, TrainingData

from .._best_config import BestConfig, require_agreement
from .._resolution import EPOCHS, resolve_run, training_fingerprint
from .._versions import find_model, known_versions, versions_folder
from .baselines import baselines_to_weigh, plan_baseline
from .members import TRAINED, MemberPlan, PlannedMember, distinct, require_fit


@dataclass(frozen=True)
class MemberSelector:
    """Everything that the choice depends on."""

    task: TaskSpec
    parameters: TaskParameters
    settings: EnsembleConfig
    verify: VerifyConfig
    data: TrainingData
    trained: Checkpoint
    trials: Sequence[BestConfig]
    """The trials that tuning kept, best first; empty without tuning."""

    def choose(self) -> MemberPlan:
        """Choose the trained checkpoint, then the other networks, then baselines."""
        require_fit(self.trained, self.task, self.data)
        plan = self._networks()
        config, trained = self._trained_config(), self.trained.manifest.fingerprint
        if not (names := baselines_to_weigh(self.task, self.settings, self.data, config)):
            return plan
        baselines = (plan_baseline(self.task, name, config, trained=trained) for name in names)
        why = f"{plan.why}; beside them the baselines {', '.join(names)}"
        return replace(plan, members=(*plan.members, *baselines), why=why)

    def _networks(self) -> MemberPlan:
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
            why += f"; there are only {len(members)} of ensemble.top={self.settings.top}"
        return MemberPlan(tuple(members), kind, why)

    def _kind(self) -> tuple[str, str]:
        wanted, root = self.settings.members, "ensemble.members"
        if wanted in ("seeds", "presets", "checkpoints"):
            return wanted, f"{root}={wanted}"
        reason = self._reason_against_trials()
        if not reason:
            return "trials", f"{root}={wanted}: the best trials of {self.trials[0].stage}"
        if wanted == "auto":
            return "seeds", f"{root}=auto: {reason}, so other seeds of the trained configuration"
        raise ConfigurationError(
            f"{root}=trials, but {reason}. Run `kedro run --pipelines {self.task.name}.tune` and "
            "`.train`, or choose seeds or checkpoints"
        )

    def _reason_against_trials(self) -> str:
        """Say why the trials of tuning cannot be members; empty if they can."""
        name = self.task.name
        if self.parameters.best_config == IGNORE:
            return f"{name}.best_config=ignore ignores tuning"
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
        """Yield trials whose weights differ: one of those that train the same weights."""
        seen: set[str] = set()
        for best in self.trials:
            resolved = resolve_run(self.task, self.parameters, self.data, layer=best.layer)
            if not self.data.has_validation and resolved.origins.get(EPOCHS) != RUNTIME:
                origin = f"best epoch of trial {best.trial}"
                resolved = resolved.replace(EPOCHS, best.best_epoch, origin=origin)
            require_agreement(best, resolved, self.data, on_mismatch=self.verify.on_mismatch)
            _, weights = training_fingerprint(self.task, resolved.config, self.data)
            if weights in seen:
                continue
            seen.add(weights)
            score = best.metrics.get(resolved.config.training.monitor)
            origin = f"trial {best.trial} of {best.study}"
            member = self._plan(f"trial-{best.trial}", origin, resolved.config, score=score)
            yield replace(member, name=f"{member.name}-{member.fingerprint[:6]}")

    def _presets(self) -> Iterator[PlannedMember]:
        """Yield the task's configuration under its presets, without what tuning found."""
        root = "ensemble.presets"
        if not self.data.has_validation:
            raise ConfigurationError(
                "ensemble.members=presets needs held-out data to find each one's best epoch, and "
                "split.use_full_data holds out nothing; choose seeds or checkpoints"
            )
        for name in self.settings.presets or self.parameters.presets:
            if name not in self.parameters.presets:
                raise ConfigurationError(
                    f"{root}: {name!r} is not a preset of {self.task.name}; "
                    f"{did_you_mean(name, list(self.parameters.presets))}"
                )
            parameters = self.parameters._replace(preset=name)
            config = resolve_run(self.task, parameters, self.data).config
            yield self._plan(f"preset-{name}", f"preset {name}", config)

    def _seeds(self) -> Iterator[PlannedMember]:
        config = self._own_configuration()
        for number in range(1, self.settings.top):
            seed = derive_seed(config.seed, "ensemble", number) % 2**32
            own = config.model_copy(update={"seed": seed})
            yield self._plan(f"seed-{seed}", f"seed {seed}", own)

    def _plan(
        self, name: str, origin: str, config: RunConfig, *, score: float | None = None
    ) -> PlannedMember:
        config_hash = fingerprint(config, data_hash=self.data.content_hash)
        return PlannedMember(name, origin, config_hash, config=config, known_score=score)

    def _own_configuration(self) -> RunConfig:
        """Return the configuration of the checkpoint; refuse other values on the command line."""
        config = self._trained_config()
        before = dict(flatten(config.model_dump(mode="json")))
        now = dict(flatten(self.parameters.resolve().config.model_dump(mode="json")))
        faults = [
            f"{self.task.name}.{key}={now[key]!r} ({RUNTIME}) has no effect: members from seeds "
            f"are trained as the checkpoint was, with {before[key]!r}. Leave it out, or train "
            "again with it first"
            for key, _, _ in self.parameters.runtime.leaves()
            if now[key] != before[key]
        ]
        if faults:
            raise ConfigurationError(faults)
        return config

    def _trained_config(self) -> RunConfig:
        try:
            return self.parameters.config_class.model_validate(self.trained.manifest.config)
        except ValidationError as error:
            raise ArtifactError(
                f"checkpoint {self.trained.path} holds a configuration that this version of "
                f"seqtune does not understand: {first_fault(error)}; train again"
            ) from error

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
        """Open a folder, or another version of the trained checkpoint's dataset."""
        versions = versions_folder(self.trained.path)
        if folder := find_model(name, [versions], [MANIFEST]):
            return open_checkpoint(folder)
        raise ConfigurationError(
            f"{name!r} is neither the folder of a checkpoint ({MANIFEST} in it) nor a version "
            f"below {versions}, which has {known_versions([versions])}"
        )
