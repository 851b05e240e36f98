"""Running a study: the loop of a worker, and the parent that looks after it."""
