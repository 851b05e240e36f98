"""Propose configurations and stop trials early: samplers, strategies, pruners."""
