"""Generated dialogues and tiny models: data to try the task on."""
