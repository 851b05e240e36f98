"""Losses over the whole catalogue, one per file."""
