"""What trials say: importance, analysis, overfitting, robust configuration, re-ranking."""
