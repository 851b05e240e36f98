"""Narrow the space of the quick stage to that of the medium stage, with reasons."""
