"""Figures and pages made of plain values (`core.trials`, JSON reports)."""
