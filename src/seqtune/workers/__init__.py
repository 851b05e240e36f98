"""Where work runs: local processes today. Knows neither what the work is nor Optuna nor torch."""
