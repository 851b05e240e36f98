"""Invented films and viewers, complaints and dialogues: data to try everything on."""

from .pipeline import create_classify_pipeline, create_pipeline, create_summarize_pipeline

__all__ = ["create_classify_pipeline", "create_pipeline", "create_summarize_pipeline"]
