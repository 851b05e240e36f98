"""Generated films and viewers: data to try the task on."""
