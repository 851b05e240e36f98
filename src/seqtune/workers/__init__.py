"""Run work in processes of this machine or of a cluster, without knowing Optuna or torch."""
