"""Losses over a catalogue, a file each."""
