"""One folder a task. Tasks know nothing of one another, of tuning or of training."""
