"""The page in a real browser: Debian's chromium, driven by selenium."""

import json
import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import fake_model
from served import RATE, ReadersHere, serving, tone

from metaser_jax.recogniser.folder import load_model
from metaser_jax.serve.app import Limits

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium is not installed: apt-get install chromium-driver"
)

# A browser on a busy machine.
PATIENCE = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six clips, low and high; one of several windows with a pause; what the microphone hears; a file that is none."""
    folder = tmp_path_factory.mktemp("clips")
    for i in range(6):
        soundfile.write(folder / f"clip {i}.wav", tone(300.0 + 900 * (i % 2) + 20 * i, 1.2, i), RATE)
    pause = np.random.default_rng(0).normal(scale=0.2, size=RATE * 10).astype(np.float32)
    pause[3 * RATE : 8 * RATE] *= 1e-3
    soundfile.write(folder / "long.wav", pause, RATE, subtype="FLOAT")
    soundfile.write(folder / "microphone.wav", tone(500.0, 5.0), RATE)
    (folder / "notes.wav").write_text("These are my notes.\n" * 20)
    return folder


@pytest.fixture(scope="module")
def address(folder):
    limits = Limits(max_upload=2**20, max_seconds=60.0, max_clips=50)
    with serving(fake_model(normalise="utterance", clips=12), ReadersHere(), limits) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def driver(folder):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        *("headless=new", "disable-dev-shm-usage", "window-size=1280,900", "use-fake-device-for-media-stream"),
        *(
            "use-fake-ui-for-media-stream",
            "autoplay-policy=no-user-gesture-required",
            f"use-file-for-fake-audio-capture={folder}/microphone.wav",
        ),
        # Whatever is not this machine is not found.
        "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        *(("no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()),
    ):
        options.add_argument(f"--{flag}")
    downloads = folder / "downloads"
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Browser:
    """The page as a person has it before her."""

    def __init__(self, driver, address):
        self.driver = driver
        driver.get_log("browser")
        driver.get(address)
        self.until(lambda: self.text("#state") == "as loaded")

    def all(self, css: str) -> list:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str):
        return self.driver.find_element("css selector", css)

    def text(self, css: str) -> str:
        return self.one(css).text

    def until(self, so) -> None:
        end = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < end, self.text("body")
            time.sleep(0.05)

    def add(self, *paths: Path) -> list:
        """Returns their cards."""
        n = len(self.all(".clip"))
        self.one("#files").send_keys("\n".join(map(str, paths)))
        self.until(lambda: len(self.all(".clip")) == n + len(paths) and not self.all(".clip .busy"))
        return self.all(".clip")[: len(paths)]

    def errors(self) -> list[str]:
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


@pytest.fixture
def browser(driver, address):
    return Browser(driver, address)


def label(card) -> str:
    return card.find_element("css selector", ".heard-label").text.split()[0]


def percents(card) -> list[int]:
    return [int(part.text.removesuffix(" %")) for part in card.find_elements("css selector", ".percent")]


def test_upload_look_correct_adapt_download(browser, folder, address, tmp_path):
    assert browser.text("h1").startswith("fake")
    assert "Esperanto" in browser.text("#summary")
    assert "macro F1 0.61" in browser.text("#score")
    assert "not a diagnosis" in browser.text("#limits")
    assert browser.one("#empty").is_displayed()
    assert not browser.one("#adapt").is_enabled()

    cards = browser.add(*(folder / f"clip {i}.wav" for i in range(6)), folder / "long.wav")
    names = [card.find_element("css selector", ".clip-name").text for card in cards]
    assert names == [*(f"clip {i}.wav" for i in range(6)), "long.wav"]
    for card in cards:
        assert abs(sum(percents(card)) - 100) <= 2
        assert label(card) in ("angry", "happy", "neutral", "sad")
        assert card.find_element("css selector", ".wave path").get_attribute("d").count("L") > 300
    assert len(cards[0].find_elements("css selector", ".bar")) == 4
    assert len(cards[-1].find_elements("css selector", ".time[data-emotion=sad] .filled")) >= 2
    assert cards[-1].find_elements("css selector", ".wave .silent")
    before = [(label(card), percents(card)) for card in cards]

    # Four are said to be something else, two of them by the keyboard; one is confirmed.
    wrong = {"angry": "sad", "happy": "angry", "neutral": "happy", "sad": "neutral"}
    for i in range(5):
        other = wrong[before[i][0]] if i < 4 else before[i][0]
        choice = cards[i].find_element("css selector", f"input[value={other}]")
        choice.send_keys(" ") if i % 2 else choice.click()
        browser.until(lambda i=i: cards[i].find_elements("css selector", "input:checked"))
    assert browser.text("#adapt") == "Adapt again with 4 corrected clips and 1 confirmed"
    browser.one("#adapt").click()
    browser.until(lambda: browser.one("#running").is_displayed())
    browser.until(lambda: not browser.one("#running").is_displayed())
    assert not browser.one("#adapt-trouble").is_displayed(), browser.text("#adapt-trouble")
    assert browser.text("#state") == "adapted with 5 clips of this page"
    assert "on the 17 given clips" in browser.text("#result")
    assert [(label(card), percents(card)) for card in cards] != before
    changed = [card for card, was in zip(cards, before, strict=True) if label(card) != was[0]]
    assert f"{len(changed)} of 7 clips" in browser.text("#result")
    for card, was in zip(cards, before, strict=True):
        said = card.find_element("css selector", ".was").text
        assert said == (f"was {was[0]} " if card in changed else "was ") + f"{max(was[1])} %"

    browser.one("#download").click()
    archive = folder / "downloads" / "fake.zip"
    browser.until(archive.exists)
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    model = load_model(next(tmp_path.iterdir()))
    assert len(model.support) == 17
    assert "page/clip 3.wav" in model.support.file.tolist()

    browser.one("#back").click()
    browser.until(lambda: browser.text("#state") == "as loaded")
    assert [(label(card), percents(card)) for card in cards] == before
    cards[0].find_element("css selector", ".remove").click()
    browser.until(lambda: len(browser.all(".clip")) == 6)
    assert browser.text("#adapt") == "Adapt again with 3 corrected clips and 1 confirmed"

    assert browser.errors() == []
    asked = [json.loads(line["message"])["message"] for line in browser.driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in asked if event["method"] == "Network.requestWillBeSent"]
    assert len(urls) > 20
    assert {url for url in urls if not url.startswith((address, f"blob:{address}", "data:", "chrome"))} == set()


def test_record(browser):
    browser.one("#record").click()
    browser.until(lambda: browser.text("#elapsed") == "0:01")
    assert browser.text("#record") == "Stop"
    assert float(browser.one("#level").get_attribute("value")) > 0.5
    browser.one("#record").click()
    browser.until(lambda: browser.all(".heard-label"))
    (card,) = browser.all(".clip")
    assert card.find_element("css selector", ".clip-name").text == "Recording 1.wav"
    seconds = float(re.match(r"[\d.]+", card.find_element("css selector", ".clip-about").text)[0])
    assert 1 <= seconds < 20
    card.find_element("css selector", ".play").click()
    browser.until(lambda: card.find_element("css selector", ".play").get_attribute("aria-label").startswith("Pause"))
    assert browser.errors() == []


def test_an_error_is_said_beside_its_file(browser, folder):
    good, bad = browser.add(folder / "clip 0.wav", folder / "notes.wav")
    assert "This is not audio" in bad.find_element("css selector", "[role=alert]").text
    assert label(good)
    (large,) = browser.add(_large(folder))
    assert "Larger than 1 MiB" in large.find_element("css selector", "[role=alert]").text
    bad.find_element("css selector", ".remove").click()
    browser.until(lambda: len(browser.all(".clip")) == 2)
    # The browser says the status of the answer, and nothing else.
    assert all("422" in said for said in browser.errors())


def _large(folder: Path) -> Path:
    path = folder / "large.wav"
    soundfile.write(path, tone(300.0, 30.0), RATE)
    return path


def test_what_only_the_browser_reads_is_sent_as_wav(browser):
    """A .webm of opus, as MediaRecorder makes it, dropped on the page."""
    browser.driver.set_script_timeout(PATIENCE)
    browser.driver.execute_async_script("""
      const done = arguments[0];
      const context = new AudioContext();
      const sound = context.createOscillator();
      const to = context.createMediaStreamDestination();
      sound.connect(to);
      sound.start();
      const recorder = new MediaRecorder(to.stream, {mimeType: "audio/webm"});
      recorder.ondataavailable = ({data}) => {
        const files = new DataTransfer();
        files.items.add(new File([data], "phone.webm"));
        document.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true}));
        done();
      };
      recorder.start();
      setTimeout(() => recorder.stop(), 1500);
    """)
    browser.until(lambda: browser.all(".heard-label"))
    assert browser.text(".clip-name") == "phone.webm"
    assert browser.errors() == []


@pytest.mark.parametrize("width", [360, 420, 820, 1280])
def test_nothing_is_wider_than_the_window(browser, folder, width):
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        browser.add(folder / "clip 0.wav", folder / "long.wav", folder / "notes.wav")
        assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_server_that_has_forgotten_the_page_says_so(browser, folder, address):
    browser.driver.execute_script("""
      return Promise.all([...Array(8)].map(() => fetch("/api/pages", {method: "POST"})));
    """)
    (card,) = browser.add(folder / "clip 0.wav")
    assert "8 other pages" in card.text
    assert "Load the page again" in browser.text("#trouble")
    browser.one("#reload").click()
    browser.until(lambda: browser.text("#state") == "as loaded" and not browser.one("#trouble").is_displayed())
