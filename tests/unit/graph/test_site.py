"""The page of the graph, and the folder that it is written to."""

from __future__ import annotations

from pathlib import Path

import kedro_viz
import pytest

from seqtune.contracts.errors import ConfigurationError
from seqtune.graph import build_site
from seqtune.graph.site import tidied_page


def test_page_of_this_kedro_viz_names_no_other_host() -> None:
    html = (Path(kedro_viz.__file__).parent / "html" / "index.html").read_text()
    assert "https://fonts." in html

    tidy = tidied_page(html)

    assert "https://" not in tidy
    assert tidy.index("localStorage") < tidy.index("</head>")
    assert "assets/index-" in tidy


def test_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigurationError, match="not thrown away"):
        build_site(tmp_path, tmp_path, default_task="toy")

    assert (tmp_path / "thesis.txt").read_text() == "years of work"
