"""From the quick stage to the space of the medium stage, with a reason for each decision."""
