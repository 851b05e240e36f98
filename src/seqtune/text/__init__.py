"""Shared by tasks on text: reading of text files, splits, pretrained models, tokens."""
