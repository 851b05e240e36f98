"""conf/ and the classes that read it say the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.config import OmegaConfigLoader

from seqtune.core.config import (
    ClusterConfig,
    CompareConfig,
    EnsembleConfig,
    ExportConfig,
    RefreshConfig,
    Section,
    ValidateConfig,
    VerifyConfig,
)
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer, flatten, unflatten
from seqtune.core.sample import SampleParameters
from seqtune.settings import CONFIG_LOADER_ARGS
from seqtune.tasks import find_tasks
from seqtune.tracking import TrackingConfig
from seqtune.tuning.budgets.plans import plan_stages
from seqtune.tuning.config import TuningConfig
from seqtune.tuning.objectives.constraints import forbidden_reason
from seqtune.tuning.parameters import TuningParameters, parse_tuning
from seqtune.tuning.spaces.space import Space, parse_space

PRESETS = {
    "bert4rec": (64, 2, 2, 200),
    "small": (32, 2, 2, 30),
    "medium": (64, 4, 3, 50),
    "large": (128, 8, 4, 200),
    "reference": (256, 8, 3, 200),
    "paper_ml1m": (256, 4, 2, 200),
    "causal": (128, 2, 2, 200),
    "paper_steam": (256, 4, 2, 50),
}
"""Hidden units, heads, layers, longest sequence."""
SPEC_7 = {
    "model.max_length": 128,
    "model.dropout_rate": 0.3,
    "model.pos_weight_max": 10.0,
    "model.gradient_checkpointing": True,
    "training.epochs": 80,
    "training.batch_size": 16,
    "training.accumulate_grad_batches": 4,
    "training.optimizer": "adamw",
    "training.lr": 2e-5,
    "training.weight_decay": 0.01,
    "training.beta1": 0.9,
    "training.beta2": 0.999,
    "training.eps": 1e-8,
    "training.scheduler": "cosine",
    "training.warmup_ratio": 0.05,
    "training.gradient_clip_val": 1.0,
    "training.precision": "auto",
    "training.early_stopping.patience": 10,
    "training.early_stopping.min_delta": 0.001,
}
SPEC_6: dict[str, dict[str, Any]] = {
    "quick": {
        "training.lr": 5e-5,
        "training.batch_size": 32,
        "training.accumulate_grad_batches": 1,
        "training.epochs": 10,
        "training.warmup_ratio": 0.1,
    },
    "balanced": {
        "training.lr": 3e-5,
        "training.batch_size": 16,
        "training.accumulate_grad_batches": 2,
        "training.epochs": 20,
        "training.warmup_ratio": 0.1,
        "training.scheduler": "cosine",
    },
    "best": {
        "training.lr": 2e-5,
        "training.batch_size": 8,
        "training.accumulate_grad_batches": 4,
        "training.epochs": 30,
        "training.warmup_ratio": 0.15,
        "training.scheduler": "cosine_with_restarts",
        "training.early_stopping.patience": 5,
    },
    "kobart": {
        "model.name": "digit82/kobart-summarization",
        "model.lora.enabled": False,
        "preprocess.max_input_length": 512,
        "preprocess.max_target_length": 100,
        "training.lr": 5e-5,
        "training.batch_size": 8,
        "training.epochs": 20,
        "generation.beams": 4,
    },
    "llama_qlora": {
        "model.name": "Bllossom/llama-3.2-Korean-Bllossom-3B",
        "model.quantisation": "4bit",
        "model.lora.enabled": True,
        "model.lora.r": 16,
        "model.lora.alpha": 32.0,
        "model.lora.dropout": 0.05,
        "model.lora.targets": [
            f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")
        ],
        "preprocess.max_input_length": 1024,
        "preprocess.max_target_length": 200,
        "training.lr": 2e-5,
        "training.batch_size": 8,
        "training.accumulate_grad_batches": 8,
        "training.epochs": 3,
        "training.warmup_ratio": 0.1,
        "training.weight_decay": 0.1,
        "training.scheduler": "cosine",
        "training.gradient_clip_val": 1.2,
        "training.precision": "bf16",
        "generation.beams": 4,
        "generation.max_new_tokens": 150,
        "generation.repetition_penalty": 1.1,
        "generation.no_repeat_ngram_size": 3,
    },
}


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def leaves(section: Section) -> dict[str, Any]:
    return dict(flatten(section.model_dump(mode="json")))


def parameters(repository: Path, task: str) -> dict[str, Any]:
    """What conf/base says of a task, its search left out."""
    values: dict[str, Any] = read(repository / f"conf/base/parameters_{task}.yml")[task]
    return values


def parsed(task: str, values: Mapping[str, Any]) -> TaskParameters:
    (spec,) = (one for one in find_tasks() if one.name == task)
    return spec.parse_parameters(values=values, runtime={}, origins={})


def resolved(task: str, values: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """Every value under a preset, by dotted key."""
    config = parsed(task, {**values, "preset": preset}).resolve().config
    return dict(flatten(config.model_dump(mode="json")))


def defaults_of(task: str) -> dict[str, Any]:
    """Every parameter of a task with the default of its class; the name is not one."""
    found = parsed(task, {})
    values = leaves(found.config_class()) | {
        f"predict.{k}": v for k, v in leaves(type(found.predict)()).items()
    }
    return {key: value for key, value in values.items() if key != "task"}


def written_of(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(
        flatten({k: v for k, v in values.items() if k not in ("preset", "presets", "auto")})
    )


@pytest.fixture(params=[task.name for task in find_tasks()])
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def recommend(repository: Path) -> dict[str, Any]:
    return parameters(repository, "recommend")


def test_every_parameter_stands_in_the_file(repository: Path, task: str) -> None:
    assert written_of(parameters(repository, task)).keys() == defaults_of(task).keys()


def test_file_and_classes_have_the_same_defaults(repository: Path, task: str) -> None:
    defaults = defaults_of(task)
    different = {
        key: (value, defaults[key])
        for key, value in written_of(parameters(repository, task)).items()
        if value is not None and value != defaults[key]
    }

    assert different == {}


def test_null_means_that_a_preset_governs(repository: Path, task: str) -> None:
    values, defaults = parameters(repository, task), defaults_of(task)
    choices = [*values["presets"].values(), *values.get("auto", [])]
    governed = {
        key
        for choice in choices
        for key, _ in flatten({k: v for k, v in choice.items() if k not in ("when", "because")})
    }
    left_open = {
        key
        for key, value in written_of(values).items()
        if value is None and defaults[key] is not None
    }

    assert left_open == governed


def test_default_behind_a_null_is_written_beside_it(repository: Path, task: str) -> None:
    text = (repository / f"conf/base/parameters_{task}.yml").read_text(encoding="utf-8")
    defaults = defaults_of(task)
    written = written_of(parameters(repository, task))
    open_keys = [k for k, v in written.items() if v is None and defaults[k] is not None]

    for key in open_keys:
        name = key.rpartition(".")[2]
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{name}: null"))
        default = str(defaults[key])
        default = default.lower() if isinstance(defaults[key], bool) else default
        assert line.endswith(f"default {default}"), line


def test_no_line_is_longer_than_a_screen(repository: Path, task: str) -> None:
    file = repository / f"conf/base/parameters_{task}.yml"

    assert [line for line in file.read_text(encoding="utf-8").splitlines() if len(line) > 110] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_resolves_to_the_specification(recommend: dict[str, Any], preset: str) -> None:
    values = resolved("recommend", recommend, preset)

    names = ("hidden_units", "num_heads", "num_layers", "max_len")
    assert tuple(values[f"model.{name}"] for name in names) == PRESETS[preset]


def test_papers_are_followed_beyond_the_shape(recommend: dict[str, Any]) -> None:
    values = resolved("recommend", recommend, "paper_ml1m")

    assert values["model.dropout_rate"] == 0.2
    assert values["model.random_mask_prob"] == 0.15
    assert values["training.lr"] == 1e-3
    assert values["training.epochs"] == 200
    assert resolved("recommend", recommend, "paper_steam")["model.dropout_rate"] == 0.5


def test_no_preset_is_missing_here(recommend: dict[str, Any]) -> None:
    assert recommend["presets"].keys() == PRESETS.keys()


@pytest.mark.parametrize(
    ("preset", "model"),
    [
        ("kcelectra", "beomi/KcELECTRA-base-v2022"),
        ("soongsil_bert", "jason9693/SoongsilBERT-base-beep"),
        ("roberta", "klue/roberta-base"),
    ],
)
def test_encoders_are_trained_as_the_specification_says(
    repository: Path, preset: str, model: str
) -> None:
    """SPEC 7."""
    values = resolved("classify", parameters(repository, "classify"), preset)

    assert values["model.name"] == model
    assert {key: values[key] for key in SPEC_7} == SPEC_7


@pytest.mark.parametrize("preset", ["quick", "balanced", "best", "kobart", "llama_qlora"])
def test_presets_of_summarize_are_those_of_the_specification(repository: Path, preset: str) -> None:
    values = resolved("summarize", parameters(repository, "summarize"), preset)

    assert {key: values[key] for key in SPEC_6[preset]} == SPEC_6[preset]


def test_qwen_differs_from_llama_in_what_the_specification_names(repository: Path) -> None:
    base = parameters(repository, "summarize")
    llama, qwen = (resolved("summarize", base, f"{name}_qlora") for name in ("llama", "qwen"))

    assert {key: value for key, value in qwen.items() if value != llama[key]} == {
        "model.name": "Qwen/Qwen3-4B-Instruct-2507",
        "training.batch_size": 6,
        "training.precision": "fp16",
    }


def test_sample_parameters_are_the_defaults_and_switched_off(repository: Path) -> None:
    values = read(repository / "conf/base/parameters_sample.yml")["sample"]

    assert values == SampleParameters().model_dump()
    assert values["enabled"] is False


def merged(repository: Path, environment: str) -> dict[str, Any]:
    """All parameters as Kedro merges them, references filled in."""
    settings: dict[str, Any] = dict(CONFIG_LOADER_ARGS)
    loader = OmegaConfigLoader(str(repository / "conf"), env=environment, **settings)
    values: dict[str, Any] = loader["parameters"]
    return values


def searched(task: str, values: Mapping[str, Any]) -> TuningParameters:
    """What a task searches, checked as before a run."""
    known = parsed(task, values[task]).resolve().config.model_dump()
    return parse_tuning(
        task,
        engine=Layer("conf", values["tuning"]),
        own=Layer("conf", values[task]["tuning"]),
        runtime={},
        own_runtime={},
        known=dict(flatten(known)),
        preset=str(values[task].get("preset") or "none"),
    )


def test_sample_environment_is_small_and_keeps_to_its_own_data(repository: Path, task: str) -> None:
    values = merged(repository, "sample")
    own, base = (read(repository / f"conf/{env}/globals.yml")["data"] for env in ("sample", "base"))

    config = parsed(task, values[task]).resolve().config
    tuning = searched(task, values)
    plans = plan_stages(
        tuning.config, spaces=tuning.spaces, seconds_per_epoch=None, num_workers=2
    ).values()

    assert own != base
    assert config.training.epochs <= 60
    assert sum(plan.trials * plan.epochs for plan in plans) <= 200
    assert read(repository / "conf/sample/parameters_sample.yml")["sample"]["enabled"] is True
    names = [str(one) for space in tuning.spaces.values() for one in choices(space, "model.name")]
    names += [config.model.name] if hasattr(config.model, "name") else []  # type: ignore[attr-defined]
    assert all(name.startswith(f"{own}/01_raw/{task}/models/") for name in names)


def choices(space: Space, key: str) -> tuple[Any, ...]:
    return space[key].choices if key in space.keys else ()


def test_what_is_searched_can_be_searched(repository: Path, task: str) -> None:
    tuning = searched(task, merged(repository, "local"))
    plans = plan_stages(tuning.config, spaces=tuning.spaces, seconds_per_epoch=None, num_workers=2)

    assert {"test", "medium"} <= plans.keys()
    assert all(
        parameter.group for space in tuning.spaces.values() for parameter in space.parameters
    )


def ranges(space: Space, *, places: int = 1) -> dict[str, Any]:
    """Range or choices by key, less its first names."""
    return {
        ".".join(p.key.split(".")[places:]): p.choices or (p.low, p.high) for p in space.parameters
    }


@pytest.mark.parametrize(
    ("group", "section"),
    [
        ("tuning", TuningConfig),
        ("verify_env", VerifyConfig),
        ("validate", ValidateConfig),
        ("ensemble", EnsembleConfig),
        ("refresh", RefreshConfig),
        ("compare", CompareConfig),
        ("export", ExportConfig),
        ("tracking", TrackingConfig),
        ("cluster", ClusterConfig),
    ],
)
def test_file_and_classes_of_the_engine_have_the_same_defaults(
    repository: Path, group: str, section: type[Section]
) -> None:
    file = group if group not in ("verify_env", "validate") else "tuning"
    written = dict(flatten(read(repository / f"conf/base/parameters_{file}.yml")[group]))

    assert written == leaves(section())


def test_the_spaces_of_recommend_are_those_of_the_specification(repository: Path) -> None:
    """The ranges and choices of both stages, under the name bert4rec_guide."""
    spaces = read(repository / "conf/base/parameters_recommend_tuning.yml")["recommend"]["tuning"]
    guide = spaces["other_spaces"]["bert4rec_guide"]
    quick, medium = (parse_space(guide[stage], root=stage) for stage in ("quick", "medium"))

    assert ranges(quick) == {
        "hidden_units": (128, 256),
        "num_heads": (2, 4, 8),
        "num_layers": (2, 3),
        "max_len": (100, 150, 200),
        "dropout_rate": (0.1, 0.3),
        "weight_decay": (0.0, 0.1),
        "random_mask_prob": (0.15, 0.25),
        "last_item_mask_ratio": (0.0, 0.2),
        "lr": (8e-4, 5e-3),
        "batch_size": (128, 256, 512),
    }
    assert ranges(medium) == {
        "hidden_units": (256,),
        "num_heads": (8,),
        "num_layers": (3,),
        "max_len": (200,),
        "dropout_rate": (0.15, 0.28),
        "weight_decay": (0.02, 0.09),
        "random_mask_prob": (0.17, 0.23),
        "last_item_mask_ratio": (0.05, 0.12),
        "lr": (1e-3, 4e-3),
        "batch_size": (128, 256),
    }
    floors = {p.key: p.floor for p in quick.parameters if p.floor is not None}
    assert floors == {
        "model.dropout_rate": 0.15,
        "model.random_mask_prob": 0.15,
        "model.last_item_mask_ratio": 0.0,
        "training.weight_decay": 0.02,
    }
    assert quick["training.lr"].log
    assert quick["training.batch_size"].warn_above == 256
    assert quick["training.weight_decay"].warn_below == 0.01


def test_the_portfolio_of_recommend_lies_in_its_space(repository: Path) -> None:
    tuning = searched("recommend", merged(repository, "local"))
    space = tuning.spaces["quick"]
    assert len(tuning.portfolio) >= 3
    for index, params in enumerate(tuning.portfolio):
        assert space.checked(unflatten(params), root=str(index)) == params


def test_the_spaces_of_classify_hold_what_the_specification_trains_with(repository: Path) -> None:
    spaces = read(repository / "conf/base/parameters_classify_tuning.yml")["classify"]["tuning"]
    values = resolved("classify", parameters(repository, "classify"), "none")
    values["model.pooling"] = "first"  # what auto settles for these models

    for stage in ("quick", "medium"):
        space = parse_space(spaces["spaces"][stage], root=stage)
        assert {p.key for p in space.parameters} == {
            "model.name",
            "model.max_length",
            "model.pooling",
            "model.dropout_rate",
            "model.pos_weight_max",
            "training.weight_decay",
            "training.lr",
            "training.warmup_ratio",
            "training.scheduler",
            "training.batch_size",
            "training.accumulate_grad_batches",
        }
        assert [p.key for p in space.parameters if not p.contains(values[p.key])] == []


@pytest.mark.parametrize("task", ["classify", "summarize"])
def test_a_preset_with_a_model_of_its_own_needs_no_other_space(repository: Path, task: str) -> None:
    """Its search leaves the model as it is, and holds the rate that it trains with."""
    values = merged(repository, "local")
    named = [
        name for name, one in values[task]["presets"].items() if "lora" in one.get("model", {})
    ]
    for preset in named or values[task]["presets"]:
        values[task]["preset"] = preset
        space = searched(task, values).spaces["medium"]
        trained = resolved(task, values[task], preset)

        assert "model.name" not in space.keys
        assert space["training.lr"].contains(trained["training.lr"])


def test_sizes_of_classify_are_those_of_the_specification(repository: Path) -> None:
    """SPEC 4.1: quick 10 trials, standard 100, thorough 300, extensive 500."""
    values = merged(repository, "local")
    totals = {}
    for budget in ("quick", "standard", "thorough", "extensive"):
        values["tuning"]["budget"] = budget
        tuning = searched("classify", values)
        plans = plan_stages(
            tuning.config, spaces=tuning.spaces, seconds_per_epoch=None, num_workers=1
        )
        totals[budget] = plans["quick"].trials + plans["medium"].trials

    assert totals == {"quick": 10, "standard": 100, "thorough": 300, "extensive": 500}


def test_the_space_of_summarize_is_that_of_the_specification(repository: Path) -> None:
    """SPEC 6: ranges and choices; epochs are the budget of a stage."""
    spaces = read(repository / "conf/base/parameters_summarize_tuning.yml")["summarize"]["tuning"]
    quick, medium = (parse_space(spaces["spaces"][s], root=s) for s in ("quick", "medium"))

    assert quick == medium
    assert {key: set(v) if len(v) > 2 else v for key, v in ranges(medium, places=0).items()} == {
        "preprocess.max_input_length": {512, 768, 1024, 1536},
        "preprocess.noise_removal": {"minimal", "moderate", "aggressive"},
        "preprocess.person_tokens": {"keep", "simplify", "abstract"},
        "model.name": ("digit82/kobart-summarization", "gogamza/kobart-base-v2"),
        "model.label_smoothing": (0.0, 0.2),
        "model.quantisation": {"none", "8bit", "4bit"},
        "model.lora.enabled": (False, True),
        "model.lora.r": (4, 64),
        "model.lora.alpha": (8.0, 128.0),
        "model.lora.dropout": (0.0, 0.3),
        "training.lr": (1e-5, 5e-4),
        "training.batch_size": {4, 8, 16, 32},
        "training.accumulate_grad_batches": {1, 2, 4, 8},
        "training.warmup_ratio": (0.0, 0.2),
        "training.scheduler": {"linear", "cosine", "cosine_with_restarts", "polynomial", "none"},
        "training.optimizer": {"adamw", "adafactor", "sgd"},
        "training.weight_decay": (0.0, 0.3),
        "training.precision": ("bf16", "fp32"),
        "generation.beams": (1, 8),
        "generation.do_sample": (False, True),
        "generation.temperature": (0.1, 1.0),
        "generation.top_p": (0.7, 0.95),
        "generation.top_k": (10, 100),
        "generation.repetition_penalty": (1.0, 1.5),
        "generation.length_penalty": (0.5, 2.0),
        "generation.max_new_tokens": (50, 200),
        "generation.min_new_tokens": (20, 80),
        "generation.no_repeat_ngram_size": {0, 2, 3, 4},
    }
    assert medium["training.lr"].log


def test_what_has_no_effect_is_not_searched(repository: Path) -> None:
    """FACTS 5: length_penalty at one beam, sampling's own where nothing is drawn."""
    spaces = read(repository / "conf/base/parameters_summarize_tuning.yml")["summarize"]["tuning"]
    space = parse_space(spaces["spaces"]["medium"], root="medium")
    greedy = {"generation.beams": 1, "generation.do_sample": False, "model.lora.enabled": False}
    beam = {**greedy, "generation.beams": 2}
    drawn = {**greedy, "generation.do_sample": True}

    def there(key: str, values: Mapping[str, Any]) -> bool:
        return space[key].exists(values)

    assert not there("generation.length_penalty", greedy)
    assert there("generation.length_penalty", beam)
    for key in ("temperature", "top_p", "top_k"):
        assert not there(f"generation.{key}", beam)
        assert there(f"generation.{key}", drawn)
    for key in ("lora.r", "lora.alpha", "lora.dropout", "quantisation"):
        assert not there(f"model.{key}", greedy)
        assert there(f"model.{key}", {"model.lora.enabled": True})


def test_summarize_is_searched_in_groups_by_what_it_writes(repository: Path) -> None:
    config = searched("summarize", merged(repository, "local")).config

    assert config.strategy.kind == "grouped"
    assert [(one.name, one.trials) for one in config.strategy.groups] == [
        ("model_selection", 20),
        ("learning_rate", 30),
        ("generation", 30),
        ("all", 20),
    ]
    assert config.stages.quick.enabled is False
    assert [(goal.metric, goal.mode) for goal in config.objectives] == [
        ("decoded_rouge_sum", "max")
    ]
    slow = {"generation.beams": 6, "generation.max_new_tokens": 151}
    assert "too slow" in (forbidden_reason(slow, config.forbidden) or "")
    for key, value in (("beams", 5), ("max_new_tokens", 150)):
        assert forbidden_reason({**slow, f"generation.{key}": value}, config.forbidden) is None
