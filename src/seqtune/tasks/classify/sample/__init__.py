"""Generated complaints and tiny encoders: data to try the task on."""
