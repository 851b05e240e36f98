"""Searching any space with any objective: the only room that knows Optuna.

It knows neither Kedro nor torch nor a task. What it is given: a `Space`, a `StudyPlan`, an
objective `(params, report) -> metrics`, and an `Executor` that runs its workers.
"""
