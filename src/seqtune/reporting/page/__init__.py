"""Render the page of a run, and the index of all runs, from plain dicts to one HTML file.

The file needs no network, no fonts and no other scripts. It holds its texts in two languages, and
leaves out what a report does not contain.
"""

from ._page import DOCUMENTS, index_page, render, verify_page

__all__ = ["DOCUMENTS", "index_page", "render", "verify_page"]
