"""Train the final configuration again N times: is it stable?"""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
