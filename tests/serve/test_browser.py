"""The page in a real browser: Debian's chromium, driven by selenium."""

import contextlib
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
    soundfile.write(folder / "large.wav", tone(300.0, 30.0), RATE)
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
        *("use-fake-ui-for-media-stream", f"use-file-for-fake-audio-capture={folder}/microphone.wav"),
        "autoplay-policy=no-user-gesture-required",
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
    """The page as a person has it before her, who has not been here before."""

    def __init__(self, driver, address):
        self.driver = driver
        # Where no script of the page remembers anything meanwhile.
        driver.get(f"{address}page.css")
        driver.execute_script("sessionStorage.clear()")
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

    def drop(self, *paths: Path) -> None:
        """Drop files and folders, as from a file manager."""
        place = self.one("#drop").rect
        data = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
        for event in ("dragEnter", "dragOver", "drop"):
            where = {"type": event, "x": place["x"] + 9, "y": place["y"] + 9, "data": data}
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", where)

    def errors(self) -> list[str]:
        lines = [line for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]
        # The browser asks for it where it opened the style sheet.
        return [line["message"] for line in lines if "favicon.ico" not in line["message"]]


@pytest.fixture
def browser(driver, address):
    return Browser(driver, address)


def label(card) -> str:
    return card.find_element("css selector", ".heard-label").text.split()[0]


def speaker(card) -> str:
    return card.find_element("css selector", ".who").get_attribute("value")


def said(card) -> str | None:
    """The emotion that a person or a folder said."""
    chosen = card.find_elements("css selector", ".choice input:checked")
    return chosen[0].get_attribute("value") if chosen else None


def percents(card) -> list[int]:
    return [int(part.text.removesuffix(" %")) for part in card.find_elements("css selector", ".percent")]


def test_upload_look_correct_adapt_download(browser, folder, address, tmp_path):
    shown = {"h1": "fake", "#summary": "Esperanto", "#headline": "0.61", "#limits": "not a diagnosis"}
    for css, part in (shown | {"#score": "0.42 to 0.80"}).items():
        assert part in browser.text(css)
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
    browser.until(lambda: browser.text("#adapt") == "Adapt with 5 labelled clips")
    browser.one("#adapt").click()
    browser.until(lambda: browser.text("#state") == "adapted with 5 clips of this page")
    assert not browser.one("#adapt-trouble").is_displayed(), browser.text("#adapt-trouble")
    assert re.search(r"^0\.\d\d → 0\.\d\d$", browser.text("#result .change"))
    assert "on the same 17 clips" in browser.text("#result")
    assert [(label(card), percents(card)) for card in cards] != before
    # The first five were learned from.
    assert [bool(card.find_elements("css selector", ".learned")) for card in cards] == 5 * [True] + 2 * [False]
    for card, was in zip(cards, before, strict=True):
        told = card.find_element("css selector", ".was:not(.learned)").text
        assert told == ("was " if label(card) == was[0] else f"was {was[0]} ") + f"{max(was[1])} %"

    cards[5].find_element("css selector", ".who").send_keys("Ana\n")

    # Loaded again, it is as it was; only the sound is not kept.
    def seen(card):
        name = card.find_element("css selector", ".clip-name").text
        return name, speaker(card), label(card), percents(card), said(card)

    kept = sorted(map(seen, cards))
    browser.driver.refresh()
    browser.until(lambda: browser.text("#state") == "adapted with 5 clips of this page")
    assert sorted(map(seen, browser.all(".clip"))) == kept
    assert kept[5][:2] == ("clip 5.wav", "Ana")
    assert browser.text("#adapt") == "Adapt with 5 labelled clips"
    assert not browser.one(".play").is_enabled()
    by_name = {card.find_element("css selector", ".clip-name").text: card for card in browser.all(".clip")}
    cards = [by_name[name] for name in names]

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
    assert browser.text("#adapt") == "Adapt with 4 labelled clips"

    assert browser.errors() == []
    asked = [json.loads(line["message"])["message"] for line in browser.driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in asked if event["method"] == "Network.requestWillBeSent"]
    assert {url for url in urls if not url.startswith((address, f"blob:{address}", "data:", "chrome"))} == set()


def test_a_folder_labels_its_clips(browser, folder, tmp_path):
    for name in ("angry/ana/1.wav", "Sadness/ana/2.wav", "Sadness/bo/3.wav", "calm/bo/4.wav"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "clip 0.wav", path)
    (tmp_path / "clips" / "readme.txt").write_text("Not a recording.")
    browser.drop(tmp_path / "clips", folder / "clip 1.wav")
    browser.until(lambda: len(browser.all(".heard-label")) == 5)
    cards = browser.all(".clip")
    told = {card.find_element("css selector", ".clip-name").text: (said(card), speaker(card)) for card in cards}
    expected = {"1.wav": ("angry", "clips/ana"), "2.wav": ("sad", "clips/ana"), "3.wav": ("sad", "clips/bo")}
    assert told == expected | {"4.wav": (None, "clips/bo"), "clip 1.wav": (None, "")}
    assert "Its folder says calm" in browser.text("#clips")
    assert browser.text("#passed") == "1 file that is no recording was passed over."
    assert browser.text("#adapt") == "Adapt with 3 labelled clips"
    browser.one("#all").click()
    browser.one("#many-remove").click()
    browser.until(lambda: not browser.all(".clip"))

    # Alone, the folder is where the clips are, and none of their speakers.
    browser.one("#speaker").send_keys("cem")
    browser.one("#folder").send_keys(str(tmp_path / "clips"))
    browser.until(lambda: len(browser.all(".heard-label")) == 4)
    assert sorted(map(speaker, browser.all(".clip"))) == ["ana", "ana", "bo", "bo"]
    assert browser.errors() == []


def test_many_clips_are_labelled_at_once(browser, folder):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    cards = browser.add(*(folder / f"clip {i}.wav" for i in range(6)))
    boxes = browser.all(".clip .select")
    boxes[1].click()
    ActionChains(browser.driver).key_down(Keys.SHIFT).click(boxes[3]).key_up(Keys.SHIFT).perform()
    assert browser.text("#selected") == "3 of 6 selected"
    browser.one("#many [data-emotion=sad]").click()
    browser.until(lambda: [said(card) for card in cards] == [None, "sad", "sad", "sad", None, None])
    assert browser.text("#unnamed").startswith("Who speaks in 3 labelled clips is not known.")
    browser.one("#all").click()
    browser.one("#all").click()
    boxes[0].click()
    browser.one("#select-unnamed").click()
    assert browser.text("#selected") == "3 of 6 selected"
    browser.driver.switch_to.active_element.send_keys("Ana", Keys.ENTER)
    browser.until(lambda: [speaker(card) for card in cards] == ["", "Ana", "Ana", "Ana", "", ""])
    assert not browser.one("#unnamed").is_displayed()
    browser.one("#many-remove").click()
    browser.until(lambda: len(browser.all(".clip")) == 3)
    assert browser.text("#selected") == "Select all"
    assert browser.errors() == []


def test_adapting_is_counted_and_can_be_stopped(driver, port, learner, folder):
    browser = Browser(driver, f"http://127.0.0.1:{port}/")
    learner.fails = None
    learner.may.clear()
    (card,) = browser.add(folder / "clip 0.wav")
    heard = percents(card)
    card.find_element("css selector", "input[value=sad]").click()
    browser.until(browser.one("#adapt").is_enabled)
    browser.one("#adapt").click()
    browser.until(lambda: browser.text("#said") == "1 of 3 trainings")
    progress = browser.one("#progress")
    assert (progress.get_attribute("value"), progress.get_attribute("max")) == ("1", "3")
    browser.one("#stop").click()
    browser.until(lambda: browser.text("#said") == "Stopping")
    learner.may.set()
    browser.until(lambda: "Stopped. The model is as before." in browser.text("#result"))
    assert browser.text("#state") == "as loaded"
    assert percents(browser.one(".clip")) == heard
    assert browser.one("#adapt").is_enabled()
    assert browser.errors() == []


@contextlib.contextmanager
def screen(driver, width, dark=False):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [360, 1280])
def test_looks(browser, folder, width):
    """Axe finds nothing in light and dark, nothing is wider than the window, adapting is in reach of a thumb."""
    Axe = pytest.importorskip("axe_core_python.selenium").Axe
    run = browser.driver.execute_script

    def check():
        for dark in (False, True):
            with screen(browser.driver, width, dark):
                assert [one["nodes"] for one in Axe().run(browser.driver)["violations"]] == []
                assert run("return document.documentElement.scrollWidth") <= width

    check()
    browser.add(folder / "clip 0.wav", folder / "clip 1.wav", folder / "long.wav", folder / "notes.wav")
    browser.one(".clip input[value=sad]").send_keys(" ")
    browser.until(browser.one("#adapt").is_enabled)
    browser.one("#all").send_keys(" ")
    check()
    with screen(browser.driver, width):
        for where in ("0", "document.body.scrollHeight / 2", "document.body.scrollHeight"):
            run(f"scrollTo(0, {where})")
            box = run("return document.querySelector('#adapt').getBoundingClientRect().toJSON()")
            assert width > 400 or 0 < box["top"] < box["bottom"] <= 900
    size = """return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility())
      .map((e) => parseFloat(getComputedStyle(e).fontSize))"""
    # The largest words are how sure it is, and of a clip what is heard.
    assert max(run(size, "body *:not(#headline, #headline *)")) < run(size, "#headline")[0]
    assert max(run(size, ".clip *")) == run(size, ".heard-label")[0]
    browser.one("#adapt").send_keys(" ")
    browser.until(lambda: browser.one("#result").is_displayed())
    check()


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
    (large,) = browser.add(folder / "large.wav")
    assert "Larger than 1 MiB" in large.find_element("css selector", "[role=alert]").text
    bad.find_element("css selector", ".remove").click()
    browser.until(lambda: len(browser.all(".clip")) == 2)
    # The browser says the status of the answer, and nothing else.
    assert all("422" in said for said in browser.errors())


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


def test_a_server_that_has_forgotten_the_page_says_so(browser, folder, address):
    browser.driver.execute_script("""
      return Promise.all([...Array(8)].map(() => fetch("/api/pages", {method: "POST"})));
    """)
    (card,) = browser.add(folder / "clip 0.wav")
    assert "8 other pages" in card.text
    assert "Load the page again" in browser.text("#trouble")
    browser.one("#reload").click()
    browser.until(lambda: browser.text("#state") == "as loaded" and not browser.one("#trouble").is_displayed())
    assert not browser.one("#lost").is_displayed()
    browser.driver.execute_script("sessionStorage.setItem('page', 'of a server that was ended')")
    browser.driver.refresh()
    browser.errors()
    browser.until(lambda: browser.one("#lost").is_displayed())
    assert browser.errors() == []
    assert browser.text("#state") == "as loaded"
