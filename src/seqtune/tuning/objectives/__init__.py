"""Judge trials: score, several objectives, forbidden combinations."""
