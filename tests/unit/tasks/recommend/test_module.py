"""One step, one batch learned by heart, exact validation, and going on within an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from seqtune.core.errors import ConfigurationError
from seqtune.tasks.recommend.batches import eval_batches
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.tasks.recommend.metrics import ranking_metrics, target_ranks
from seqtune.tasks.recommend.models.base import SHARES
from seqtune.tasks.recommend.models.transformer_config import TransformerConfig
from seqtune.tasks.recommend.module import RecommendModule, build_module
from seqtune.tasks.recommend.params import RecommendConfig


class Attached(RecommendModule):
    """With an optimiser, as `training.fit` attaches one."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def attached(config: RecommendConfig, data: SplitData) -> Attached:
    torch.manual_seed(0)
    return Attached(config, build_module(config, data).model)


def trainer(**options: Any) -> Trainer:
    return Trainer(
        **{
            "max_epochs": 1,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "barebones": False,
            **options,
        }
    )


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lightning warns of what these trainers mean to leave out."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
        warnings.filterwarnings("ignore", message=".*treespec.*")
        yield


def changed(config: RecommendConfig, section: str, **values: Any) -> RecommendConfig:
    part = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: part})


def test_one_step_lowers_the_loss_of_its_batch(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    module = attached(tiny_config, tiny_split)
    optimizer = module.configure_optimizers()
    items = next(iter(RecommendData(tiny_config, tiny_split).train_dataloader()))
    before = module.training_step(items, 0)
    before.backward()
    optimizer.step()
    assert float(module.training_step(items, 0).detach()) < float(before.detach())


@pytest.mark.parametrize("objective", ["cloze", "causal"])
def test_overfits_one_batch(
    tiny_config: RecommendConfig, make_split: Callable[..., SplitData], objective: str
) -> None:
    """Ratio 1 masks the last item: the same question and the same answer at every step."""
    tiny_split = make_split([(1, 2, 3, 4, 5, 6, 7), (3, 1, 8, 2, 4, 5)])
    config = changed(tiny_config, "model", last_item_mask_ratio=1.0, objective=objective)
    module = attached(config, tiny_split)
    optimizer = module.configure_optimizers()
    items = next(iter(RecommendData(config, tiny_split).train_dataloader()))
    for _ in range(60):
        optimizer.zero_grad()
        loss = module.training_step(items, 0)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05
    asked = items.clone()
    asked[:, -1] = tiny_split.mask_token
    best = module.model.next_item_scores(asked).argmax(1) + 1
    assert best.tolist() == items[:, -1].tolist()


def test_sequences_of_one_item_have_no_next_one(
    tiny_config: RecommendConfig, make_split: Callable[..., SplitData]
) -> None:
    causal = changed(tiny_config, "model", objective="causal")
    with pytest.raises(ConfigurationError, match="no user of the split has 2 training items"):
        build_module(causal, make_split([(1, 2, 3), (3, 2, 1)]))
    build_module(causal, make_split([(1, 2, 3), (3, 2, 1, 4)]))


def test_masks_are_a_function_of_seed_epoch_and_step(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    items = torch.randint(1, 9, (50, 8), dtype=torch.int32)
    module = attached(tiny_config, tiny_split)

    def loss(step: int, of: RecommendModule = module) -> float:
        return float(of.training_step(items, step).detach())

    other = attached(tiny_config.model_copy(update={"seed": 7}), tiny_split)
    torch.manual_seed(99)
    assert loss(3) == loss(3)
    assert loss(3) != loss(4)
    assert loss(3) != loss(3, other)


def test_validation_is_the_exact_mean_over_users(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    config = changed(tiny_config, "evaluation", train_metric_users=0)
    module = attached(config, tiny_split)
    loop = trainer()
    loop.validate(module, datamodule=RecommendData(config, tiny_split), verbose=False)
    ranks = []
    for batch in eval_batches(tiny_split, "valid", max_len=8, batch_size=1):
        scores = module.model.next_item_scores(batch.inputs)
        ranks.append(
            target_ranks(
                scores, batch.targets, seen_rows=batch.seen_rows, seen_items=batch.seen_items
            )
        )
    sums = ranking_metrics(torch.cat(ranks), (1, 5))
    logged = {name: float(value) for name, value in loop.callback_metrics.items()}
    assert logged == pytest.approx({f"val_{name}": float(s) / 6 for name, s in sums.items()})
    assert {"val_hit@5", "val_ndcg@5", "val_mrr@5"} <= logged.keys()


def test_a_loss_that_is_monitored_leaves_the_best_share_the_best(
    tiny_config: RecommendConfig, tiny_split: SplitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(tiny_config, "training", monitor="train_loss", monitor_mode="min")
    module = attached(changed(config, "model", item_to_item="auto"), tiny_split)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    ndcgs = [0.1, 0.3, 0.2, 0.0, 0.1]
    assert module._choose_share([{"ndcg@5": value} for value in ndcgs]) == 1
    assert float(module.model.share) == pytest.approx(SHARES[1])


def test_validation_chooses_the_share_of_counts(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    def validated(share: float | str) -> tuple[float, dict[str, float]]:
        module = attached(changed(config, "model", item_to_item=share), tiny_split)
        loop = trainer()
        loop.validate(module, datamodule=RecommendData(config, tiny_split), verbose=False)
        return round(float(module.model.share), 1), {
            k: float(v) for k, v in loop.callback_metrics.items()
        }

    config = changed(tiny_config, "training", monitor="val_ndcg@5")
    chosen, metrics = validated("auto")
    by_hand = {share: validated(share)[1][config.training.monitor] for share in SHARES}
    assert by_hand[chosen] == pytest.approx(max(by_hand.values()))
    assert metrics[config.training.monitor] == pytest.approx(by_hand[chosen])
    assert metrics["val_item_to_item"] == pytest.approx(chosen)


def test_seen_items_are_candidates_where_the_configuration_says_so(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    hits = []
    for exclude in (True, False):
        config = changed(tiny_config, "evaluation", exclude_seen=exclude)
        loop = trainer()
        loop.validate(
            attached(config, tiny_split),
            datamodule=RecommendData(config, tiny_split),
            verbose=False,
        )
        hits.append(float(loop.callback_metrics["val_mrr@5"]))
    assert hits[0] > hits[1]


def test_fit_logs_what_is_monitored(tiny_config: RecommendConfig, tiny_split: SplitData) -> None:
    loop = trainer()
    loop.fit(attached(tiny_config, tiny_split), datamodule=RecommendData(tiny_config, tiny_split))
    assert {"val_hit@1", "val_ndcg@5", "val_mrr@5"} <= loop.callback_metrics.keys()


def test_without_validation_it_trains_all_the_same(
    tiny_config: RecommendConfig, make_split: Callable[..., SplitData]
) -> None:
    split = make_split([(1, 2, 3, 4), (2, 3, 4, 5)], validated=False)
    loop = trainer()
    loop.fit(attached(tiny_config, split), datamodule=RecommendData(tiny_config, split))
    assert loop.global_step == 1
    assert loop.callback_metrics == {}


class Batches(Callback):
    """Notes every batch and saves the state after one of them."""

    def __init__(self, *, save_after: int = -1, path: Path | None = None) -> None:
        self.seen: list[Any] = []
        self._save_after, self._path = save_after, path

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        _module, outputs, batch, batch_idx = rest
        self.seen.append(
            (trainer.current_epoch, batch_idx, batch.tolist(), float(outputs["loss"].detach()))
        )
        if len(self.seen) == self._save_after:
            trainer.save_checkpoint(self._path)


@pytest.mark.parametrize("save_after", [1, 2, 3, 4, 5])
def test_lightning_goes_on_at_the_right_batch(
    tiny_config: RecommendConfig, tiny_split: SplitData, tmp_path: Path, save_after: int
) -> None:
    """Two epochs of three batches; no batch comes twice, none is left out."""
    config = changed(tiny_config, "training", batch_size=2)
    whole = Batches(save_after=save_after, path=tmp_path / "state.ckpt")
    first = trainer(max_epochs=2, callbacks=[whole])
    module = attached(config, tiny_split)
    first.fit(module, datamodule=RecommendData(config, tiny_split))
    assert [seen[:2] for seen in whole.seen] == [(e, b) for e in range(2) for b in range(3)]

    rest = Batches()
    second = trainer(max_epochs=2, callbacks=[rest])
    resumed = attached(config, tiny_split)
    second.fit(
        resumed,
        datamodule=RecommendData(config, tiny_split),
        ckpt_path=tmp_path / "state.ckpt",
        weights_only=True,
    )
    assert rest.seen == whole.seen[save_after:]
    for ours, theirs in zip(module.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert first.callback_metrics == second.callback_metrics


def test_a_side_table_that_the_split_lacks_is_an_error(
    tiny_config: RecommendConfig, tiny_split: SplitData
) -> None:
    config = changed(tiny_config, "model", use_writer_emb=True, use_title_emb=True)
    with pytest.raises(ConfigurationError, match=r"use_writer_emb=true, but the split has no wri"):
        build_module(config, tiny_split)


def test_heads_that_do_not_divide_are_named_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"num_heads=3 does not divide hidden_units=16; choose"):
        RecommendConfig.model_validate({"model": {"hidden_units": 16, "num_heads": 3}})


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"window_step": 8, "max_len": 8}, r"window_step=8 would leave out items .* at most 7"),
        (
            {"mask_replace_prob": 0.8, "random_replace_prob": 0.3},
            r"mask_replace_prob=0.8 and random_replace_prob=0.3 add up to 1.1; .* at most 1",
        ),
        ({"lazy_embeddings": True}, r"lazy_embeddings=true has no effect .* set num_negatives"),
    ],
)
def test_switches_that_do_not_go_together_are_refused(model: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TransformerConfig(**model)
