"""The page of a run, and the index over all runs: plain dicts in, one HTML file out.

The file needs nothing else: no network, no fonts, no scripts beside its own. Two languages stand
side by side in it. Whatever a report did not say is left out.
"""

from ._index import index_page
from ._page import DOCUMENTS, render, verify_page

__all__ = ["DOCUMENTS", "index_page", "render", "verify_page"]
