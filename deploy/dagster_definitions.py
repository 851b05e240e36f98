"""The stages of a task as assets of Dagster, each by `kedro run` in a process of its own.

    pip install dagster dagster-webserver
    dagster dev -f deploy/dagster_definitions.py

KEDRO_ENV chooses the environment of conf, SEQTUNE_TASK the task (recommend).
"""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg

PROJECT = Path(__file__).resolve().parents[1]
STAGES = ("ingest", "split", "tune", "train", "ensemble", "predict")
TASK = os.environ.get("SEQTUNE_TASK", "recommend")


def stage_asset(stage: str, after: list[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    @dg.asset(name=stage, key_prefix=TASK, deps=after)
    def run_stage() -> None:
        command = [sys.executable, "-m", "kedro", "run", "--pipelines", f"{TASK}.{stage}"]
        subprocess.run(command, cwd=PROJECT, check=True)

    return run_stage


assets: list[dg.AssetsDefinition] = []
for stage in STAGES:
    assets.append(stage_asset(stage, after=assets[-1:]))
everything = dg.define_asset_job("everything", selection=dg.AssetSelection.all())
nightly = dg.ScheduleDefinition(job=everything, cron_schedule="0 2 * * *")
defs = dg.Definitions(assets=assets, jobs=[everything], schedules=[nightly])
