"""Folders of checkpoints and ensembles, as `training` and `ensembling` write them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

import ensemble_folders
from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.datamodule import build_data
from seqtune.tasks.summarize.module import SummarizeModule, build_module
from seqtune.tasks.summarize.params import SummarizeConfig


def trained(
    config: SummarizeConfig, data: SummarizeData, *, steps: int, lr: float = 5e-3
) -> SummarizeModule:
    """A module after some steps: enough to write words, too few to write the right ones."""
    module = build_module(config, data)
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=lr)
    done, epoch = 0, 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        while done < steps:
            loader = build_data(config, data).train_dataloader()
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                optimizer.zero_grad()
                module.training_step(batch).backward()
                optimizer.step()
                done += 1
            epoch += 1
    return module.eval()


def write_checkpoint(
    path: Path, module: SummarizeModule, config: SummarizeConfig, data: SummarizeData
) -> Path:
    """A checkpoint folder whose best and last weights are this module's."""
    path.mkdir(parents=True)
    for which in ("best", "last"):
        state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        save_file(state, path / f"{which}.safetensors")
    data.write_assets(path / "assets", config)
    return ensemble_folders.write_manifest(path, data, config)


SCALE = "minimum_bayes_risk"
write_ensemble = partial(
    ensemble_folders.write_ensemble,
    task="summarize",
    metric="valid rouge_sum",
    scale="minimum_bayes_risk",
)
"""`write_ensemble(path, {checkpoint: share}, scale=..., **manifest)`."""
