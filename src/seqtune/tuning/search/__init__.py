"""Run a study: the loop of a worker, and the monitor in the parent process."""
