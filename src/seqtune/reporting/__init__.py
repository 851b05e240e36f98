"""Figures and pages made of plain values (`contracts.trials`, JSON reports)."""
