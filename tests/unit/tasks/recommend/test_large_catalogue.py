"""Training with a few drawn items and with lazy embeddings, from the configuration to a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from seqtune.core.errors import ConfigurationError
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import ITEMS_TABLE, SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.tasks.recommend.losses.sampled_softmax import draw_items
from seqtune.tasks.recommend.module import RecommendModule, build_module
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import fit
from seqtune.training.optimizers import build_optimizer


def changed(config: RecommendConfig, **model: Any) -> RecommendConfig:
    return config.model_copy(update={"model": config.model.model_copy(update=model)})


def module_of(config: RecommendConfig, data: SplitData, **model: Any) -> RecommendModule:
    torch.manual_seed(0)
    return build_module(changed(config, **model), data).train()


def batch_of(config: RecommendConfig, data: SplitData) -> Tensor:
    return next(iter(RecommendData(config, data).train_dataloader()))


@pytest.mark.parametrize("sides", [{}, {"use_genre_emb": True}])
@pytest.mark.parametrize("share", [True, False])
def test_with_all_items_drawn_loss_and_gradients_are_those_of_the_full_softmax(
    tiny_config: RecommendConfig, tiny_split: SplitData, share: bool, sides: dict[str, bool]
) -> None:
    results = []
    for num_drawn in (0, tiny_split.num_items):
        module = module_of(tiny_config, tiny_split, share_embeddings=share, **sides)
        drawn = draw_items(8, num_drawn, generator=torch.Generator()) if num_drawn else None
        questions = module.targets(batch_of(tiny_config, tiny_split), 0)
        loss = module.model.loss(*questions, drawn)
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in module.parameters())])
    for full, few in zip(*results, strict=True):
        torch.testing.assert_close(few, full, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("share", [True, False])
def test_lazy_gradients_are_the_dense_ones_of_few_rows(
    tiny_config: RecommendConfig, tiny_split: SplitData, share: bool
) -> None:
    results = []
    for lazy in (False, True):
        module = module_of(
            tiny_config,
            tiny_split,
            num_negatives=3,
            lazy_embeddings=lazy,
            share_embeddings=share,
        )
        module.training_step(batch_of(tiny_config, tiny_split), 0).backward()
        results.append({name: p.grad for name, p in module.named_parameters()})
    are_sparse = {name for name, gradient in results[1].items() if gradient.is_sparse}
    output = set() if share else {"model.output.weight"}
    assert are_sparse == {"model.items.weight", "model.item_bias"} | output
    for name, dense in results[0].items():
        lazily = results[1][name]
        torch.testing.assert_close(lazily.to_dense() if lazily.is_sparse else lazily, dense)


def test_items_are_drawn_anew_at_each_step_and_alike_in_each_run(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    module = module_of(tiny_config, tiny_split, num_negatives=3)
    other = RecommendModule(module.config.model_copy(update={"seed": 7}), module.model)
    draws = {str(m.negatives(step)) for m in (module, other) for step in range(20)}
    assert len(draws) > 10
    assert str(module.negatives(4)) == str(module.negatives(4))


@pytest.mark.parametrize("drawn", [{}, {"lazy_embeddings": True}, {"negative_popularity": 0.5}])
def test_overfits_one_batch(
    tiny_config: RecommendConfig, make_split: Callable[..., SplitData], drawn: dict[str, Any]
) -> None:
    split = make_split([(1, 2, 3, 4, 5, 6, 7), (3, 1, 8, 2, 4, 5)])
    module = module_of(tiny_config, split, last_item_mask_ratio=1.0, num_negatives=6, **drawn)
    training = tiny_config.training.model_copy(update={"lr": 0.01})
    optimizer, items = build_optimizer(module, training), batch_of(tiny_config, split)
    for step in range(80):
        optimizer.zero_grad()
        module.training_step(items, step).backward()
        optimizer.step()
    asked = items.clone()
    asked[:, -1] = split.mask_token
    best = module.model.next_item_scores(asked).argmax(1) + 1
    assert best.tolist() == items[:, -1].tolist()


def test_more_negatives_than_items_are_refused(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    with pytest.raises(ConfigurationError, match="num_negatives=8, but the split has 8 items"):
        module_of(tiny_config, tiny_split, num_negatives=8)


LAZY = {"num_negatives": 4, "lazy_embeddings": True}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"lazy_embeddings": True}}, "no effect while the loss uses all items"),
        ({"model": LAZY | {"use_genre_emb": True}}, "does not work with the side tables genre"),
        ({"model": LAZY, "training": {"optimizer": "sgd"}}, "needs training.optimizer adamw or"),
        ({"model": LAZY, "training": {"devices": 2}}, "works on one device, not on"),
    ],
)
def test_what_cannot_be_lazy_is_said(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecommendConfig.model_validate(values)


class PowerCutError(Exception):
    pass


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("cut_at", [(0, 1), (1, 0), (1, 2)])
def test_broken_off_at_a_step_it_ends_as_if_nothing_had_happened(
    tiny_config: RecommendConfig,
    tiny_split: SplitData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lazy: bool,
    cut_at: tuple[int, int],
) -> None:
    monkeypatch.setattr("seqtune.training.lazy_adam.DECAY_EVERY", 3)
    often: dict[str, Any] = {
        "batch_size": 2,
        "save_state_every_minutes": 1e-9,
        "weight_decay": 0.3,
        "lr": 0.05,
    }
    often["monitor"] = "val_ndcg@5"
    config = changed(tiny_config, num_negatives=3, lazy_embeddings=lazy).model_copy(
        update={"training": tiny_config.training.model_copy(update=often)}
    )
    (tiny_split.path / ITEMS_TABLE).touch()  # training copies it and looks no further
    whole = trained(config, tiny_split, tmp_path / "whole")
    step = RecommendModule.training_step

    def step_or_cut(module: RecommendModule, items: Tensor, batch_idx: int) -> Tensor:
        if (module.current_epoch, batch_idx) == cut_at:
            raise PowerCutError
        return step(module, items, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(RecommendModule, "training_step", step_or_cut)
        with pytest.raises(PowerCutError):
            trained(config, tiny_split, tmp_path / "cut")
    history, weights = trained(config, tiny_split, tmp_path / "cut")
    assert history == whole[0]
    for name, tensor in whole[1].items():
        assert torch.equal(weights[name], tensor), name


def trained(
    config: RecommendConfig, data: SplitData, directory: Path
) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    result = fit(TASK, config, data, directory=directory, fingerprint="f" * 16, progress=False)
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]
    return history, load_file(result.checkpoint / "last.safetensors")
