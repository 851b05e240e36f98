"""Analyse trials: importance, overfitting, robust configuration, re-ranking."""
