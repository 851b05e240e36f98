"""The report of a run and the index over all of them, in a real browser without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedro_results import newest
from seqtune.reporting.page import verify_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

PageAt = Callable[..., Any]
FOLDER = "data/08_reporting"
DRAWN = "figure.drawn[data-done] .main-svg"


@pytest.fixture
def url(finished_project: Path) -> str:
    return newest(finished_project, "run_report.html").as_uri()


def scroll_through(page: Page) -> None:
    """To the end, as a reader would, so that every figure comes into view."""
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.documentElement.scrollHeight; y += 400) {
                scrollTo({ top: y, behavior: "instant" });
                await new Promise(requestAnimationFrame);
            }
        }"""
    )


def see_a_figure(page: Page) -> None:
    page.locator("figure.drawn").first.scroll_into_view_if_needed()
    page.wait_for_selector(DRAWN)


def is_overflowing(page: Page) -> bool:
    return bool(
        page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    )


def test_it_reads_at_every_width(page_at: PageAt, url: str, screen: Any) -> None:
    visit = page_at(url, screen)
    see_a_figure(visit.page)
    scroll_through(visit.page)
    visit.shot("report", whole=True)

    assert not is_overflowing(visit.page)
    visit.page.eval_on_selector_all("main details", "all => all.forEach(one => one.open = true)")
    scroll_through(visit.page)
    figures = visit.page.locator("figure.drawn")
    visit.page.wait_for_function(
        "document.querySelectorAll('figure.drawn').length"
        " === document.querySelectorAll('figure.drawn[data-done]').length"
    )
    assert figures.count() > 10
    assert visit.page.locator("figure.drawn .main-svg").count() >= figures.count()
    assert not is_overflowing(visit.page)
    visit.assert_quiet()


def test_it_fits_the_smallest_phone(page_at: PageAt, url: str) -> None:
    visit = page_at(url, 360, 640)
    visit.page.eval_on_selector_all("main details", "all => all.forEach(one => one.open = true)")

    assert not is_overflowing(visit.page)


@pytest.mark.parametrize(("width", "share"), [(1280, 0.6), (390, 0.85)])
def test_the_page_of_verify_env_takes_its_room(
    page_at: PageAt, tmp_path: Path, width: int, share: float
) -> None:
    """It has no contents, beside which the text of a report stands."""
    file = tmp_path / "verify_page.html"
    file.write_text(verify_page({"task": "recommend", "values": [], "versions": {}}))
    page = page_at(file.as_uri(), width, 844).page

    assert page.locator("main").evaluate("main => main.clientWidth") > share * width


def test_the_metric_is_the_one_of_the_catalog(
    page_at: PageAt, url: str, finished_project: Path
) -> None:
    metrics = json.loads(newest(finished_project, "metrics.json").read_text(encoding="utf-8"))
    value = metrics["parts"]["test"]["full_ranking"]["ndcg@10"]["model"]

    page = page_at(url).page
    assert page.locator("[data-who='test.model']").inner_text() == f"{value:.4f}"
    assert f"{value:.4f}" in page.locator(".lede").inner_text()


def test_the_language_can_be_switched_and_is_remembered(page_at: PageAt, url: str) -> None:
    visit = page_at(url)
    page = visit.page
    assert page.locator("h1").inner_text() == "Run report"

    page.get_by_role("button", name="한국어").click()
    assert page.locator("h1").inner_text() == "실행 보고서"
    assert page.locator("html").get_attribute("lang") == "ko"
    page.reload()
    assert page.locator("h1").inner_text() == "실행 보고서"

    page.get_by_role("button", name="English").click()
    assert page.locator("h1").inner_text() == "Run report"
    visit.assert_quiet()


@pytest.mark.parametrize("ending", ["?lang=ko", "#ko"])
def test_the_address_can_ask_for_korean(page_at: PageAt, url: str, ending: str) -> None:
    page = page_at(url + ending, 390, 844).page

    assert page.locator("h1").inner_text() == "실행 보고서"
    assert not is_overflowing(page)


def test_it_is_dark_where_the_reader_wants_that(page_at: PageAt, url: str) -> None:
    def brightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour[4:-1].split(",")))

    dark, light = page_at(url, dark=True), page_at(url)
    see_a_figure(dark.page)
    see_a_figure(light.page)
    dark.shot("report")

    assert brightness(dark.page) < 150 < 600 < brightness(light.page)
    text = ".main-svg .xtick text"
    colours = [
        visit.page.eval_on_selector(text, "one => getComputedStyle(one).fill")
        for visit in (dark, light)
    ]
    assert colours[0] != colours[1]
    dark.page.emulate_media(color_scheme="light")  # a figure that is drawn already follows
    dark.page.wait_for_function(
        f"getComputedStyle(document.querySelector('{text}')).fill === '{colours[1]}'"
    )


def test_a_configuration_can_be_copied(page_at: PageAt, url: str) -> None:
    page = page_at(url).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    box = page.locator("#configs .code").first

    box.get_by_role("button").click()
    page.wait_for_function("document.querySelector('#configs button.done') !== null")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == box.locator("code").text_content()
    assert copied.startswith("recommend:\n")


def test_all_is_open_and_drawn_on_paper(page_at: PageAt, url: str, tmp_path: Path) -> None:
    visit = page_at(url)
    see_a_figure(visit.page)  # by then the library is unpacked
    visit.page.evaluate(
        """() => addEventListener("beforeprint", () => {
            window.printed = {
                closed: document.querySelectorAll("main details:not([open])").length,
                blank: document.querySelectorAll("figure.drawn:not([data-done])").length,
            };
        })"""
    )

    visit.page.pdf(path=tmp_path / "report.pdf")

    assert visit.page.evaluate("window.printed") == {"closed": 0, "blank": 0}
    assert (tmp_path / "report.pdf").stat().st_size > 100_000
    visit.assert_quiet()


def test_a_browser_that_cannot_unpack_says_so(page_at: PageAt, url: str) -> None:
    visit = page_at("about:blank")
    visit.page.add_init_script("delete window.DecompressionStream")
    visit.page.goto(url)

    figure = visit.page.locator("figure.drawn").first
    assert "cannot unpack the figures" in figure.inner_text()
    visit.assert_quiet()


def test_names_of_items_are_text(page_at: PageAt, url: str) -> None:
    visit = page_at("about:blank")
    opened: list[str] = []
    visit.page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
    visit.page.goto(url)

    assert "<script>alert(1)</script>" in visit.page.locator("#predictions").inner_text()
    assert opened == []


def test_the_index_leads_to_the_report(
    page_at: PageAt, screen: Any, finished_project: Path
) -> None:
    visit = page_at((finished_project / FOLDER / "index.html").as_uri(), screen)
    visit.shot("index")
    assert not is_overflowing(visit.page)

    visit.page.locator("td.when a").first.click()
    assert visit.page.locator("h1").inner_text() == "Run report"
    visit.assert_quiet()
