"""The report in a real browser: opens from disk, charts and table answer to mouse and keyboard.

Needs Debian's chromium and chromium-driver: apt-get install chromium chromium-driver.
"""

import csv
import json
import shutil
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reported import HOSTILE, analyzed, renamed
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tfqdyn.report import write_report

pytestmark = pytest.mark.browser
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
SLOW_S = 30.0
"""How long a page may take to do what it was asked to; machines that run tests are busy."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one.html of one run, three.html of three, the last one's and one layer's names hostile."""
    made = tmp_path_factory.mktemp("reports")
    result = analyzed()
    hostile = renamed(result, "dw", HOSTILE)
    write_report([result], made / "one.html")
    write_report({"before": result, "after": result, HOSTILE: hostile}, made / "three.html")
    return made


class Browser:
    """Chromium with one report open; what the tests do and see."""

    def __init__(self, downloads: Path) -> None:
        options = webdriver.ChromeOptions()
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.binary_location = shutil.which("chromium") or ""
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        self.downloads = downloads

    def open(self, file: Path, width: int = 1440) -> None:
        """Opens a report and waits for its last chart."""
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get(file.as_uri())
        self.until(lambda: all(c.find_elements(By.TAG_NAME, "svg") for c in self.all(".chart")))

    def all(self, css: str) -> list[WebElement]:
        """All elements that a selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """The first element that a selector finds."""
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def run(self, script: str, *arguments: object) -> Any:
        """Runs a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def click(self, element: WebElement) -> None:
        """Clicks an element where it lies, scrolled into view."""
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def until(self, holds: Callable[[], object]) -> None:
        """Waits for something to hold."""
        WebDriverWait(self.driver, SLOW_S, 0.05).until(lambda _: holds())

    def column(self, heading: str) -> list[str]:
        """What the layer table shows under a heading."""
        headings = [th.text.split("\n")[0] for th in self.all("#table thead th")]
        place = headings.index(heading) + 1
        return [td.text for td in self.all(f"#table tbody td:nth-child({place})")]

    def chart(self, title: str) -> WebElement:
        """The figure with this title."""
        return next(
            f for f in self.all("figure") if f.find_element(By.TAG_NAME, "h3").text == title
        )

    def downloaded(self, name: str) -> Path:
        """A file that the page saves, once it is there."""
        path = self.downloads / name
        self.until(lambda: path.exists() and path.stat().st_size)
        return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("chromium and chromium-driver are not here: apt-get install them")
    started = Browser(tmp_path_factory.mktemp("downloads"))
    yield started
    started.driver.quit()


@pytest.mark.parametrize("name", ["one.html", "three.html"])
@pytest.mark.parametrize("width", [1440, 390])
def test_opens_from_disk_without_errors_or_requests(
    browser: Browser, folder: Path, name: str, width: int
) -> None:
    browser.open(folder / name, width)
    browser.click(browser.one("#table tbody .link"))
    browser.until(lambda: len(browser.all("#layer-charts svg")) == 4)
    assert browser.driver.get_log("browser") == []
    messages = [json.loads(e["message"])["message"] for e in browser.driver.get_log("performance")]
    requested = [
        m["params"]["request"]["url"]
        for m in messages
        if m["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
    assert requested[0] == (folder / name).as_uri()
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_sorts(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    before = browser.column("layer")
    heading = next(b for b in browser.all("#table th button") if b.text == "SQNR in dB")
    browser.click(heading)
    expected = [
        row.name for row in sorted(analyzed().layers, key=lambda row: row.sqnr_pooled_db.mean)
    ]
    assert browser.column("layer") == expected
    assert browser.one("#table th[aria-sort=ascending]").text == "SQNR in dB"
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.column("layer") == expected[::-1]
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.column("layer") == before == [row.name for row in analyzed().layers]


def test_filters_and_saves_what_is_shown(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    browser.one("#filter").send_keys("PW")
    assert browser.column("layer") == ["pw"]
    assert browser.one("#count").text == f"1 of {len(analyzed().layers)} layers"
    browser.one("#filter").clear()
    browser.one("#filter").send_keys("")
    Select(browser.one("#kind")).select_by_value("depthwise")
    assert browser.column("layer") == ["dw"]
    browser.click(browser.one("#table-csv"))
    with browser.downloaded("layers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["dw"]
    layer = next(row for row in analyzed().layers if row.name == "dw")
    assert float(rows[0]["QMSE"]) == pytest.approx(layer.qmse.mean, rel=1e-4)


def test_a_click_opens_the_layers_channels(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    browser.click(browser.all("#table tbody tr")[1])
    assert browser.one("#layer-title").text.startswith("2 · dw")
    layer = next(row for row in analyzed().layers if row.name == "dw")
    facts = browser.one("#layer-facts").text
    assert f"Folded weights span {layer.folded_weights.range:.3g}" in facts
    ranges = browser.chart("Folded weights: range of every channel")
    browser.until(lambda: len(ranges.find_elements(By.CSS_SELECTOR, ".mark-symbol path")) == 8)
    for part in ("area", "line", "rule"):  # fp32, dequantized, grid
        assert browser.all(f"#layer-charts figure:last-of-type .mark-{part} path, "
                           f"#layer-charts figure:last-of-type .mark-{part} line")  # fmt: skip
    ActionChains(browser.driver).send_keys(Keys.ARROW_RIGHT).perform()
    browser.until(lambda: browser.one("#layer-title").text.startswith("3 · pw"))
    ActionChains(browser.driver).send_keys(Keys.ESCAPE).perform()
    browser.until(lambda: not browser.one("#layer").is_displayed())


def test_every_layer_has_an_address(browser: Browser, folder: Path) -> None:
    browser.open(folder / "three.html")
    assert "#" not in browser.driver.current_url
    browser.click(browser.one("#table tbody tr:nth-child(3) td:nth-child(2) button"))
    browser.until(lambda: "#" in browser.driver.current_url)
    address, heading = browser.driver.current_url, browser.one("#layer-title").text
    browser.click(browser.one("#close"))
    browser.until(lambda: "#" not in browser.driver.current_url)
    browser.driver.get("about:blank")
    browser.driver.get(address)
    browser.until(lambda: browser.one("#layer").is_displayed())
    assert browser.one("#layer-title").text == heading
    browser.run("location.hash = '#layer=stem'")
    browser.until(lambda: "stem" in browser.one("#layer-title").text)
    browser.run("location.hash = '#layer=nowhere'")  # opens nothing, breaks nothing
    assert "stem" in browser.one("#layer-title").text


def test_charts_say_in_words_what_they_show(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    label = browser.one(".chart").get_attribute("aria-label") or ""
    assert "layers, lowest" in label
    assert "highest" in label
    assert label.endswith("The layer table has every value.")


def test_blocks_fold_and_unfold(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    button = browser.one(".blocks .fold")
    inner = button.find_element(By.XPATH, "./ancestor::tbody").find_elements(
        By.CSS_SELECTOR, ".inner"
    )
    assert len(inner) > 1
    assert not inner[0].is_displayed()
    browser.click(button)
    assert all(row.is_displayed() for row in inner)
    assert button.get_attribute("aria-expanded") == "true"
    layer = inner[0].find_element(By.CSS_SELECTOR, ".link")
    name = layer.text
    browser.click(layer)
    browser.until(lambda: name in browser.one("#layer-title").text)
    browser.click(browser.one("#close"))
    browser.click(button)
    assert not inner[0].is_displayed()


def test_phones_are_not_told_of_keys(browser: Browser, folder: Path) -> None:
    for width, shown, hidden in (
        (1440, ".with-keys", ".by-touch"),
        (390, ".by-touch", ".with-keys"),
    ):
        touch = {"enabled": width < 500}
        browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", touch)
        browser.open(folder / "one.html", width)
        assert browser.one(shown).is_displayed()
        assert not browser.one(hidden).is_displayed()
    browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_point_opens_its_layer(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    figure = browser.chart("SQNR in dB")
    browser.click(figure.find_elements(By.CSS_SELECTOR, ".mark-symbol path")[3])
    browser.until(lambda: browser.one("#layer-title").text.startswith("4 · grouped"))


def test_the_keyboard_reaches_a_layer(browser: Browser, folder: Path) -> None:
    browser.open(folder / "three.html")
    chart = browser.chart("SQNR in dB").find_element(By.CSS_SELECTOR, ".chart")
    browser.run("arguments[0].focus()", chart)
    chart.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "2 · dw" in browser.one("#tip").text
    assert "before" in browser.one("#tip").text
    chart.send_keys(Keys.ENTER)
    browser.until(lambda: browser.one("#layer-title").text.startswith("2 · dw"))


def test_toggles_a_line_and_a_run(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")

    def lines(title: str) -> int:
        return len(browser.chart(title).find_elements(By.CSS_SELECTOR, ".mark-line path"))

    assert lines("Dynamic range") == 3
    chip = browser.chart("Dynamic range").find_element(By.CSS_SELECTOR, ".legend .chip")
    browser.click(chip)
    browser.until(lambda: lines("Dynamic range") == 2)
    assert chip.get_attribute("aria-pressed") == "false"
    browser.open(folder / "three.html")
    assert lines("QMSE") == 3
    browser.click(browser.all("#runs .chip")[1])
    browser.until(lambda: lines("QMSE") == lines("weights range") == 2)


def test_switches_to_a_logarithmic_axis(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")

    def axis() -> str:
        axes = browser.chart("QCE in nats").find_elements(By.CSS_SELECTOR, ".role-axis")
        return next(a for axis in axes if (a := axis.get_attribute("aria-label")).startswith("Y"))

    button = browser.chart("QCE in nats").find_element(By.CSS_SELECTOR, ".toggle")
    assert button.get_attribute("aria-pressed") == "false"
    assert "linear scale" in axis()
    browser.click(button)
    browser.until(lambda: button.get_attribute("aria-pressed") == "true" and "log scale" in axis())


def test_zooms_by_dragging_and_back(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    points = browser.chart("QMSE").find_elements(By.CSS_SELECTOR, ".mark-symbol path")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", points[0])
    chain = ActionChains(browser.driver).move_to_element(points[1]).click_and_hold()
    chain.move_to_element(points[3]).move_by_offset(12, 0).release().perform()
    first, last = browser.one("#from"), browser.one("#to")
    browser.until(lambda: browser.one("#reset").is_enabled())
    assert int(last.get_attribute("value")) == 4
    assert int(first.get_attribute("value")) in (2, 3)  # the pointer may land beside layer 2
    browser.click(browser.one("#reset"))
    assert [first.get_attribute("value"), last.get_attribute("value")] == ["1", "5"]


def test_dark_and_light(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")

    def colours() -> list[object]:
        return [
            browser.run(f"return getComputedStyle(document.querySelector('{css}')).backgroundColor")
            for css in ("html", ".chart svg")
        ]

    light, dark = ["rgb(255, 255, 255)"] * 2, ["rgb(20, 23, 26)"] * 2
    browser.until(lambda: colours() == light)
    browser.click(browser.one("#theme"))
    browser.until(lambda: colours() == dark)
    browser.click(browser.one("#theme"))
    browser.until(lambda: colours() == light)


def test_prints_light_and_without_controls(browser: Browser, folder: Path) -> None:
    browser.open(folder / "one.html")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not any(e.is_displayed() for e in browser.all(".toolbar, .tools"))
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
    pages = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pages["data"]) > 10_000


def test_saves_a_chart_as_svg(browser: Browser, folder: Path) -> None:
    browser.open(folder / "three.html")
    figure = browser.chart("QKL-Div in nats")
    browser.click(next(b for b in figure.find_elements(By.TAG_NAME, "button") if b.text == "SVG"))
    drawn = ElementTree.parse(browser.downloaded("QKL-Div_in_nats.svg")).getroot()
    texts = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"QKL-Div in nats", "before", "after", "layer"} <= texts


def test_compares_runs_by_one_figure(browser: Browser, folder: Path) -> None:
    result = analyzed()
    better = tuple(
        replace(row, qmse=replace(row.qmse, mean=row.qmse.mean / 2)) for row in result.layers
    )
    write_report({"a": result, "b": replace(result, layers=better)}, folder / "two.html")
    browser.open(folder / "two.html")
    Select(browser.one("#shown")).select_by_value("qmse")
    first, last = (browser.column(heading) for heading in ("a", "difference, b"))
    assert len(first) == len(result.layers)
    for before, change in zip(first, last, strict=True):
        expected = -float(before.replace("\N{MINUS SIGN}", "-")) / 2
        assert float(change.replace("\N{MINUS SIGN}", "-")) == pytest.approx(expected, rel=0.01)


def test_hostile_names_are_shown_as_text(browser: Browser, folder: Path) -> None:
    browser.open(folder / "three.html")
    Select(browser.one("#shown")).select_by_value("2")
    assert HOSTILE in browser.column("layer")
    browser.click(next(link for link in browser.all("#table .link") if link.text == HOSTILE))
    browser.until(lambda: HOSTILE in browser.one("#layer-title").text)
    points = browser.chart("SQNR of every channel, in dB").find_elements(
        By.CSS_SELECTOR, ".mark-symbol path"
    )
    ActionChains(browser.driver).move_to_element(points[-1]).perform()
    browser.until(lambda: HOSTILE in browser.one("#tip").text)
    time.sleep(0.2)  # an image that fails to load would report by now
    assert browser.run("return window.hacked === undefined")
    assert browser.all("img") == []
    assert HOSTILE in browser.one("table.summary").text
