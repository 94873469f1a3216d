"""Reports in Chromium: no finding of axe, nothing beyond the page, on screens small and large, dark, and on paper."""

import base64
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from metaser_jax.report.content import Bullets, Code, Content, Section, Table
from metaser_jax.report.page import write_page, write_report

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
AXE = importlib.util.find_spec("axe_core_python")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium is not installed: apt-get install chromium-driver"
)
OPEN = "document.querySelectorAll('details').forEach(d => d.open = true)"
BACKGROUND, WHITE = "return getComputedStyle(document.body).backgroundColor", "rgb(255, 255, 255)"
WIDE = [f"a column that is called {i}" for i in range(20)]


@pytest.fixture(scope="module")
def driver():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    for flag in ("headless=new", "disable-dev-shm-usage", *(["no-sandbox"] if root else [])):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(120)  # on a busy machine
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, many_rows, metrics):
    """A report of results, and one of every block, with a table that is wider than any screen."""
    folder = tmp_path_factory.mktemp("reports")
    wide = [[f"row {i}", *[f"0.{i}00 ± 0.010"] * 19] for i in range(9)]
    blocks = (
        *("A paragraph.", Bullets(("one", "two")), Code("python x.py --y=1", "Run"), Table(WIDE, wide)),
        *(Table(WIDE, wide, "wide", frozenset({(1, 1)})), Table(["a", "b"], [["", "c"]], "folded", folded=True)),
    )
    same = Section("Wide & long", blocks)
    write_report(folder / "results", many_rows, title="T", intro="I", command="c", training=metrics, notes=["note"])
    write_page(folder / "blocks", Content("Every block", "Intro.", (same, same)))
    return [folder / name / "report.html" for name in ("results", "blocks")]


def show(driver, page: Path, width: int, scheme: str, media: str = "") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    driver.get(page.as_uri())


@pytest.mark.skipif(AXE is None, reason="axe is not installed: pip install axe-core-python")
@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_on_a_screen(driver, pages, width, scheme):
    """Axe finds nothing; the page is as wide as the screen; what is wider scrolls, and the keyboard scrolls it."""
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    axe = Path(AXE.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    for page in pages:
        show(driver, page, width, scheme)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert driver.execute_script(BACKGROUND) == {"dark": "rgb(22, 24, 27)", "light": WHITE}[scheme]
        driver.execute_script(axe)
        driver.execute_script(OPEN)
        found = driver.execute_async_script("axe.run({resultTypes: ['violations']}).then(arguments[0])")
        assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found["violations"]] == []
        assert len(found["passes"]) > 15
    driver.find_element("css selector", ".wide").send_keys("")
    driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    moved = "return document.activeElement.scrollLeft"
    WebDriverWait(driver, 60).until(lambda driver: driver.execute_script(moved) > 0)


def test_on_paper(driver, pages):
    """A4 without its margins: nothing of a report is wider, opened or not, and dark is no waste of ink."""
    show(driver, pages[0], 700, "dark", "print")
    driver.execute_script(OPEN)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 700
    assert driver.execute_script(BACKGROUND) == WHITE
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert pdf.startswith(b"%PDF")
