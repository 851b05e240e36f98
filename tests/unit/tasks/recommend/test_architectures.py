"""An architecture is one file: what it needs, and what its parameters may be beside others'."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from seqtune.core.config import EnsembleConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer, flatten, unflatten
from seqtune.pipelines._resolution import require_metric
from seqtune.pipelines.tune.objective import TrainTrial
from seqtune.tasks.recommend import TASK, models
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.loading import load_model
from seqtune.tasks.recommend.memory import outline
from seqtune.tasks.recommend.metrics import METRICS, Metric
from seqtune.tasks.recommend.models import build_model
from seqtune.tasks.recommend.models.config import architectures, config_class
from seqtune.tasks.recommend.params import PredictConfig, RecommendConfig, parse
from seqtune.tasks.recommend.recommender import Recommender
from seqtune.training import fit
from seqtune.tuning.parameters import task_space

from .split_folders import write_ensemble, write_split

BASE, LOCAL = "conf/base/parameters_recommend.yml", "conf/local/parameters_recommend.yml"
NUM_ITEMS = 12
CAUSAL = {"num_heads": 2, "objective": "causal"}
BAG = '''
"""The mean of the items so far."""

import torch
from torch import nn

from seqtune.tasks.recommend.models.base import SequenceModel
from seqtune.tasks.recommend.models.config import Architecture, ModelConfig


class BagConfig(ModelConfig):
    architecture: Architecture = "bag"
    weight_of_last: float = 1.0


class Bag(SequenceModel[BagConfig]):
    def build(self, config):
        self.mix = nn.Linear(config.hidden_units, config.hidden_units)

    def encode(self, items):
        x = self.embed(items)
        counts = (items > 0).cumsum(1).clamp(min=1)[:, :, None]
        return self.mix(x.cumsum(1) / counts + self.config.weight_of_last * x)

    def activation_bytes(self, step):
        return 16.0 * step.batch * step.time * self.config.hidden_units
'''


@pytest.fixture
def bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A file that is dropped into the package."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "bag.py").write_text(BAG, encoding="utf-8")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])
    yield "bag"
    sys.modules.pop(f"{models.__name__}.bag", None)
    vars(models).pop("bag", None)


@pytest.fixture
def cycles(tmp_path: Path) -> SplitData:
    """Thirty users who each go round the same twelve items."""
    rows = [[(user + step) % NUM_ITEMS + 1 for step in range(4 + user % 6)] for user in range(30)]
    ids = [f"item {number}" for number in range(NUM_ITEMS)]
    return write_split(tmp_path / "split", rows, item_ids=ids)


def config_of(architecture: str, **model: Any) -> RecommendConfig:
    return RecommendConfig.model_validate(
        {
            "model": {
                "architecture": architecture,
                "hidden_units": 16,
                "num_layers": 1,
                "max_len": 8,
                "init_std": 0.2,
                "dropout_rate": 0.0,
                **model,
            },
            "training": {
                "epochs": 20,
                "batch_size": 8,
                "lr": 0.02,
                "precision": "fp32",
                "accelerator": "cpu",
                "num_threads": 1,
                "monitor": "val_ndcg@5",
            },
            "evaluation": {"ks": [1, 5], "train_metric_users": 0},
        }
    )


def trained(config: RecommendConfig, data: SplitData, folder: Path) -> Path:
    done = fit(TASK, config, data, directory=folder, fingerprint="f" * 16, progress=False)
    return done.checkpoint


def score(checkpoint: Path, data: SplitData, metric: str = "ndcg@5", part: str = "valid") -> float:
    """Of a checkpoint or an ensemble."""
    metrics = TASK.evaluate(checkpoint, data, parts=(part,))["parts"][part]["full_ranking"]
    return float(metrics[metric]["model"])


@pytest.mark.parametrize("architecture", ["bag", "gru4rec"])
def test_one_file_is_trained_evaluated_asked_and_opened_again(
    cycles: SplitData, tmp_path: Path, architecture: str, bag: str
) -> None:
    assert bag in architectures()
    config = config_of(architecture)
    checkpoint = trained(config, cycles, tmp_path / "run")
    assert TASK.estimate_memory(config, cycles) > 0.0

    loaded = load_model(checkpoint)
    assert loaded.config == config
    assert type(loaded.model).__module__ == f"{models.__name__}.{architecture}"
    assert score(checkpoint, cycles, part="test") > 0.9

    out = tmp_path / "predictions"
    out.mkdir()
    TASK.predict(checkpoint, cycles, PredictConfig(top_k=1), new_rows=(), out=out)
    assert pq.read_table(out / "predictions.parquet").num_rows == cycles.num_users
    ((best, *_),) = Recommender.load(checkpoint).recommend([["item 3", "item 4"]], k=1)
    assert best.item == "item 5"


def test_what_needs_attention_says_that_there_is_none(cycles: SplitData, tmp_path: Path) -> None:
    recommender = Recommender.load(trained(config_of("gru4rec"), cycles, tmp_path / "run"))
    why = recommender.explain(["item 3", "item 4"], k=2)
    assert (why.attention, why.own_attention, why.mean_attention) == ((), (), ())
    assert [without.item for without in why.reasons[0].without] == ["item 3", "item 4"]
    assert why.reasons[0].without[1].effect > 0.0


@pytest.mark.parametrize("scale", TASK.scales)
def test_it_is_weighed_and_combined_with_a_transformer(
    cycles: SplitData, tmp_path: Path, scale: str
) -> None:
    members = {
        name: trained(config_of(name, **more), cycles, tmp_path / name)
        for name, more in (
            ("gru4rec", {}),
            ("transformer", {"num_heads": 2, "objective": "causal"}),
        )
    }
    pool = TASK.open_pool(members, cycles, EnsembleConfig(), seed=1)
    alone, both = (pool.score(np.array(w), scale=scale) for w in ([1.0, 0.0], [0.5, 0.5]))
    assert alone == pytest.approx(
        TASK.evaluate(members["gru4rec"], cycles)["parts"]["valid"]["full_ranking"]["ndcg@5"][
            "model"
        ]
    )
    shares = dict.fromkeys(members.values(), 0.5)
    ensemble = write_ensemble(tmp_path / "ensemble", shares, scale=scale)
    assert score(ensemble, cycles) == pytest.approx(both)
    assert Recommender.load(ensemble).recommend([["item 3"]], k=1)


# ---- the recurrent one --------------------------------------------------------------------------


def gru(**model: Any) -> Any:
    torch.manual_seed(0)
    values = {"hidden_units": 16, "num_layers": 2, "max_len": 64, "dropout_rate": 0.0, **model}
    config = config_class("gru4rec")(init_std=0.5, **values)
    return build_model(config, num_items=NUM_ITEMS, sides={}).eval()


def rows(*sequences: tuple[int, ...], width: int) -> Tensor:
    return torch.tensor([[0] * (width - len(row)) + list(row) for row in sequences])


MASK = NUM_ITEMS + 1


@pytest.mark.parametrize("width", [5, 17, 64])
def test_the_width_of_the_padding_never_changes_a_score(width: int) -> None:
    model, given = gru(), ((7, 3, 9, MASK), (2, MASK), (MASK,))
    narrow, wide = (model.next_item_scores(rows(*given, width=one)) for one in (4, width))
    torch.testing.assert_close(wide, narrow, atol=1e-6, rtol=0)
    assert narrow.std() > 0.05
    alone = model.next_item_scores(rows(given[1], width=2))
    torch.testing.assert_close(narrow[1:2], alone, atol=1e-6, rtol=0)


def test_a_position_sees_only_what_stands_before_it() -> None:
    model = gru()
    hidden = model.encode(rows((1, 2, 3, 4), (1, 2, 5, 6), width=6))
    torch.testing.assert_close(hidden[0, 2:4], hidden[1, 2:4])
    assert not torch.allclose(hidden[0, 4], hidden[1, 4], atol=1e-3)


def test_positions_are_encoded_where_they_stand() -> None:
    model, items = gru(), rows((1, 2, 3), (4, 5, 6, 7, 8), width=8)
    positions = torch.tensor([6, 7, 11, 15])
    expected = model.encode(items).flatten(0, 1)[positions]
    assert torch.equal(model.hidden_at(items, positions), expected)
    assert torch.equal(model.last_hidden(items), model.encode(items)[:, -1])


@pytest.mark.parametrize(
    "model", [{}, {"num_negatives": 5}, {"num_negatives": 5, "lazy_embeddings": True}]
)
def test_it_learns_from_all_items_and_from_drawn_ones(
    cycles: SplitData, tmp_path: Path, model: Mapping[str, Any]
) -> None:
    checkpoint = trained(config_of("gru4rec", **model), cycles, tmp_path / "run")
    assert score(checkpoint, cycles, "hit@5") > 0.9


def test_dropout_is_for_training_alone() -> None:
    model, items = gru(dropout_rate=0.5), rows((1, 2, 3, MASK), width=4)
    assert torch.equal(model.next_item_scores(items), model.next_item_scores(items))
    model.train()
    assert not torch.equal(model.next_item_scores(items), model.next_item_scores(items))


def test_half_precision_stays_near(cycles: SplitData) -> None:
    model, items = gru(), rows((1, 2, 3, MASK), width=6)
    expected = model.next_item_scores(items)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model.next_item_scores(items), expected, atol=0.05, rtol=0)


def test_its_outline_is_made_without_drawing_a_number(cycles: SplitData) -> None:
    state, model = torch.get_rng_state(), gru()
    before = torch.get_rng_state()
    sizes = [
        [(name, parameter.shape) for name, parameter in one.named_parameters()]
        for one in (model, outline(model.config, cycles))
    ]
    assert sizes[0] == sizes[1]
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(state)


# ---- parameters of one beside those of another ---------------------------------------------------


def read(files: Mapping[str, tuple[Any, str]], **runtime: Any) -> TaskParameters:
    """`files`: value and origin by dotted key."""
    typed = unflatten({key.replace("__", "."): value for key, value in runtime.items()})
    values = {key: value for key, (value, _) in files.items()} | dict(flatten(typed))
    return parse(
        values=unflatten(values),
        runtime=typed,
        origins={key: origin for key, (_, origin) in files.items()},
    )


SMALL = {"presets.small.model.num_heads": (2, BASE), "presets.small.model.hidden_units": (32, BASE)}
GENERAL = {
    **SMALL,
    "preset": ("small", BASE),
    "model.architecture": ("transformer", BASE),
    "model.last_item_mask_ratio": (0.1, BASE),
    "model.num_heads": (None, BASE),
}


def test_general_settings_of_another_architecture_are_passed_over() -> None:
    config = read(GENERAL, model__architecture="gru4rec").resolve().config
    assert config == RecommendConfig.model_validate(
        {"model": {"architecture": "gru4rec", "hidden_units": 32}}
    )
    assert "num_heads" not in config.model_dump()["model"]
    assert read(GENERAL).resolve().config.model_dump()["model"]["num_heads"] == 2


@pytest.mark.parametrize("where", ["file", "command line"])
def test_asking_for_a_setting_of_another_architecture_is_an_error(where: str) -> None:
    files = {**GENERAL, "model.architecture": ("gru4rec", LOCAL)}
    runtime = {}
    if where == "file":
        files["model.num_heads"] = (4, LOCAL)
    else:
        runtime["model__num_heads"] = 4
    with pytest.raises(ConfigurationError) as caught:
        read(files, **runtime)
    assert caught.value.faults == (
        "recommend.model.num_heads is not a parameter; it belongs to architecture=transformer, but "
        "architecture is gru4rec; take it out, or change that (set in "
        f"{LOCAL if where == 'file' else '--params'})",
    )


def test_a_setting_of_another_architecture_is_an_error_with_the_default_one(bag: str) -> None:
    with pytest.raises(ConfigurationError, match="it belongs to architecture=bag, but archit"):
        read({"model.weight_of_last": (2.0, LOCAL)})
    found = read({"model.weight_of_last": (2.0, LOCAL)}, model__architecture=bag).resolve()
    assert found.table()["model.weight_of_last"] == {"value": 2.0, "origin": LOCAL}


def test_an_architecture_that_does_not_exist_is_an_error_with_those_that_do() -> None:
    with pytest.raises(ConfigurationError, match=r"architecture='gru'.*did you mean 'gru4rec'"):
        read({"model.architecture": ("gru", LOCAL)})


def test_reading_parameters_of_the_default_imports_no_other(tmp_path: Path) -> None:
    read(GENERAL).resolve()
    assert config_class("transformer").__module__.endswith(".transformer_config")


def test_checkpoints_from_before_there_was_a_choice_are_transformers() -> None:
    config = RecommendConfig.model_validate({"model": {"num_heads": 4}})
    assert config.model.architecture == "transformer"
    again = RecommendConfig.model_validate(config.model_dump(mode="json"))
    assert again == config


# ---- searching -----------------------------------------------------------------------------------

RATE = {"type": "float", "low": 0.1, "high": 0.2}
HEADS = {"type": "categorical", "choices": [2, 4]}


def searchable(parameters: TaskParameters, space: Mapping[str, Any]) -> Any:
    values, known = parameters.searchable(space, root="recommend.tuning.spaces.quick")
    return task_space(values, task="recommend", stage="quick", known=known)


def test_what_is_searched_of_another_architecture_drops_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    space = {"model": {"num_heads": HEADS, "random_mask_prob": RATE, "dropout_rate": RATE}}
    parameters = read(GENERAL, model__architecture="gru4rec")
    assert searchable(parameters, space).keys == ("model.dropout_rate",)
    (line,) = caplog.messages
    assert (
        "quick: not searched: model.num_heads, model.random_mask_prob; it belongs to arch" in line
    )
    assert searchable(read(GENERAL), space).keys == (
        "model.dropout_rate",
        "model.num_heads",
        "model.random_mask_prob",
    )


def test_the_architecture_itself_is_searched() -> None:
    choice = {"type": "categorical", "choices": ["transformer", "gru4rec"]}
    when = {"model": {"architecture": ["transformer"]}}
    space = {"model": {"architecture": choice, "num_heads": {**HEADS, "when": when}}}
    parameters = read({**GENERAL, "model.objective": ("causal", LOCAL)})
    found = searchable(parameters, space)
    assert found.keys == ("model.architecture", "model.num_heads")

    def config_at(point: list[float]) -> Any:
        params = found.from_unit(point)
        return parameters.resolve("small", best=Layer("trial 1", unflatten(params))).config.model

    assert {type(config_at([at, 0.9])).__name__ for at in (0.1, 0.9)} == {
        "TransformerConfig",
        "GRU4RecConfig",
    }


def test_a_search_trains_every_architecture_of_its_space(cycles: SplitData, tmp_path: Path) -> None:
    small = config_of("transformer").model_dump(mode="json")
    values = {name: (value, BASE) for name, value in flatten(small) if name != "task"}
    parameters = read({**values, "preset": ("none", BASE)})
    when = {"model": {"architecture": ["transformer"]}}
    space = searchable(
        parameters,
        {
            "model": {
                "architecture": {"type": "categorical", "choices": ["transformer", "gru4rec"]},
                "hidden_units": {"type": "categorical", "choices": [8, 16]},
                "num_layers": {"type": "int", "low": 1, "high": 2},
                "num_heads": {**HEADS, "when": when},
            }
        },
    )
    objective = TrainTrial(TASK, parameters, cycles.path, tmp_path, "quick", epochs=2)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2), direction="maximize")

    def run(trial: optuna.Trial) -> float:
        measured = objective(space.suggest(trial), lambda *_: False, name=f"t{trial.number}")
        return measured["val_ndcg@5"]

    study.optimize(run, n_trials=4)
    found = {trial.params["model.architecture"]: trial.params for trial in study.trials}
    assert found.keys() == {"transformer", "gru4rec"}
    assert "model.num_heads" not in found["gru4rec"]


# ---- metrics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("monitor", ["val_ndcg@5", "val_first_half@5", "val_recall@5"])
def test_a_metric_of_the_table_is_measured_and_monitored(
    cycles: SplitData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monitor: str
) -> None:
    def gain(users: Tensor, ranks: Tensor, k: int) -> Tensor:
        return users * (ranks < k / 2)

    monkeypatch.setitem(METRICS, "first_half", Metric(gain, label="share in the first half"))
    config = config_of("gru4rec")
    training = config.training.model_copy(update={"monitor": monitor, "epochs": 2})
    config = config.model_copy(update={"training": training})
    checkpoint = trained(config, cycles, tmp_path / "run")
    report = TASK.evaluate(checkpoint, cycles)
    found = report["parts"]["valid"]["full_ranking"]
    assert found["hit@1"]["model"] <= found["first_half@5"]["model"] <= found["hit@5"]["model"]
    assert report["definitions"]["first_half@K"] == "share in the first half"
    assert ("recall@5" in found) == ("recall" in monitor)
    if "recall" in monitor:
        assert found["recall@5"] == found["hit@5"]
    best = load_model(checkpoint).manifest.best.metrics[monitor]
    assert best == pytest.approx(found[monitor.removeprefix("val_")]["model"])
    pool = TASK.open_pool({"a": checkpoint}, cycles, EnsembleConfig(), seed=1)
    assert pool.metric == monitor.replace("val_", "valid ")
    assert pool.score(np.ones(1), scale="ranks") == pytest.approx(best)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            {"monitor": "val_ndgc@10"},
            r"monitor='val_ndgc@10' is not a metric of this training; did you mean 'val_ndcg@",
        ),
        (
            {"monitor_mode": "min"},
            r"monitor_mode=min, but for val_ndcg@5 higher is better; set it to",
        ),
        ({"monitor": "train_loss"}, r"monitor_mode=max, but for train_loss lower is better"),
        ({"monitor": "val_ndcg@7"}, r"did you mean 'val_ndcg@"),
    ],
)
def test_what_cannot_be_monitored_is_refused_before_training(
    training: Mapping[str, Any], said: str
) -> None:
    config = config_of("gru4rec")
    changed = config.training.model_copy(update=dict(training))
    with pytest.raises(ConfigurationError, match=said):
        require_metric(TASK, config.model_copy(update={"training": changed}))
