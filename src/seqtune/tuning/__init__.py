"""Search any space with any objective; the only package that uses Optuna.

It depends neither on Kedro nor on torch nor on a task. Its input: a `Space`, a `StudyPlan`, an
objective `(params, report) -> metrics`, and an `Executor` that runs the workers.
"""
