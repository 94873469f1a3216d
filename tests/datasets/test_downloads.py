"""Downloads from a server on this machine: good, damaged, incomplete, refused and silent ones."""

import hashlib
import http.server
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from metaser_jax import datasets
from metaser_jax.datasets.demo.demo_dataset_builder import DemoUrdu
from metaser_jax.datasets.downloads import Download
from metaser_jax.datasets.statistics import Published
from metaser_jax.errors import InputError


class Handler(http.server.SimpleHTTPRequestHandler):
    requests = 0
    endless, over = threading.Event(), threading.Event()

    def do_GET(self):
        Handler.requests += 1
        if "silent" in self.path:
            time.sleep(1.0)
        if "broken" in self.path:  # promises more than it sends
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"PK" * 100)
            return
        if "endless" in self.path:
            self.send_response(200)
            self.end_headers()
            while not Handler.over.wait(0.05):
                try:
                    self.wfile.write(bytes(10_000))
                except OSError:
                    break
                Handler.endless.set()
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """(folder, URL of it)."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Handler(*args, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    Handler.requests = 0
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def archive(served, make_corpus, zipped):
    """The served demo_urdu.zip."""
    packed = zipped(make_corpus("demo_urdu"))
    return packed.rename(served[0] / packed.name)


class Offer(NamedTuple):
    """A corpus demo_urdu that is downloaded. Attributes: url; data, --data_dir; make, makes its builder."""

    url: str
    data: Path
    make: Callable[..., DemoUrdu]

    def prepare(self, **options: Any) -> datasets.Statistics:
        return datasets.prepare("demo_urdu", None, self.data, make=self.make, **options)

    def failure(self) -> str:
        with pytest.raises(InputError) as caught:
            self.prepare()
        message = str(caught.value)
        assert "MANUAL_DIR/demo_LANGUAGE/" in message
        assert "--manual_dir=MANUAL_DIR" in message
        assert not [path for path in self.data.rglob("*") if path.is_file() or ".tmp." in path.name]
        return message


def offered(download: Download, data: Path, **constants: Any) -> Offer:
    """Args: constants: others of the corpus's class."""

    class Offered(DemoUrdu, skip_registration=True):
        __module__ = DemoUrdu.__module__  # TFDS looks for the class's file
        name = "demo_urdu"
        DOWNLOADS = (download,)

    for constant, value in constants.items():
        setattr(Offered, constant, value)

    def make(name, data_dir, **options):
        return Offered(data_dir=data_dir, options=datasets.Options(**options))

    return Offer(download.url, data, make)


@pytest.fixture
def offer(served, tmp_path):
    """offer(file, constants={}, **fields of Download) offers a file that is served."""

    def make(file="demo_urdu.zip", constants=None, **fields):
        return offered(Download(f"{served[1]}/{file}", **fields), tmp_path / "data", **(constants or {}))

    return make


# A shell's background job, and what it starts, ignores Ctrl-C.
INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from metaser_jax import datasets
from metaser_jax.datasets.demo.demo_dataset_builder import DemoUrdu
from metaser_jax.datasets.downloads import Download

class Offered(DemoUrdu, skip_registration=True):
    __module__ = DemoUrdu.__module__  # TFDS looks for the class's file
    name = "demo_urdu"
    DOWNLOADS = (Download({url!r}),)

datasets.prepare("demo_urdu", None, "{data}", make=lambda name, data_dir: Offered(data_dir=data_dir))
"""


def test_downloaded_once(offer, archive, tmp_path):
    offered = offer(size=archive.stat().st_size, md5=hashlib.md5(archive.read_bytes()).hexdigest())
    assert offered.prepare().utterances == 4
    offered.prepare(overwrite=True)
    assert Handler.requests == 1
    corpus = datasets.load("demo_urdu", tmp_path / "data")
    assert corpus.file.tolist() == ["f1_angry_03.wav", "f1_happy_00.wav", "m2_neutral_01.wav", "m2_sad_10.wav"]


@pytest.mark.parametrize(
    ("published", "reason"),
    [({"size": 3}, r"bytes, expected 3"), ({"md5": "0" * 32}, r"its md5 is [0-9a-f]{32}, expected 0000")],
)
def test_another_file_than_the_published_one(offer, archive, tmp_path, published, reason):
    offered = offer(**published)
    wrong = f"the download of {offered.url} failed: the file is not the published.*{reason}"
    for attempt in (1, 2):  # what was wrong is not kept
        with pytest.raises(InputError, match=wrong):
            offered.prepare()
        assert Handler.requests == attempt
    assert not datasets.is_prepared("demo_urdu", tmp_path / "data")


def test_sha256_of_checksums_tsv(served, offer, archive):
    from tensorflow_datasets.core import utils
    from tensorflow_datasets.core.download.checksums import UrlInfo

    info = UrlInfo(size=utils.Size(archive.stat().st_size), checksum="0" * 64, filename="x.zip")
    offered = offer(constants={"url_infos": {f"{served[1]}/demo_urdu.zip": info}})
    with pytest.raises(InputError, match=r"the file is not the published one: Expected: .*0000.* Got: "):
        offered.prepare()


def test_sha256_of_shemo_is_read():
    from metaser_jax.datasets.shemo.shemo_dataset_builder import Builder

    assert {url.rpartition("/")[2]: (int(info.size), info.checksum[:8]) for url, info in Builder.url_infos.items()} == {
        "female.zip": (374_368_830, "663d8d7d"),
        "male.zip": (496_606_401, "747670d0"),
    }
    assert {download.url for download in Builder.DOWNLOADS} == set(Builder.url_infos)


def test_missing(offer):
    missing = offer("nothing.zip")
    url = missing.url
    assert f"the download of {url} failed: Failed to get url {url}. HTTP code: 404" in missing.failure()


def test_refused(tmp_path):
    url = "http://127.0.0.1:9/a.zip"
    message = offered(Download(url), tmp_path / "data").failure()
    assert f"the download of {url} failed: ConnectionError: " in message
    assert "refused" in message


def test_silent(offer):
    assert "timed out" in offer("silent.zip", read_seconds=0.2).failure().lower()


def test_broken_off(offer):
    assert "IncompleteRead(200 bytes read, 800 more expected)" in offer("broken.zip").failure()


def test_ctrl_c_ends_a_download(served, tmp_path):
    """The program is over soon, though the server would go on for long, and leaves nothing behind."""
    code = INTERRUPTED.format(url=f"{served[1]}/endless.zip", data=tmp_path / "data")
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    started = Handler.endless.wait(60)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(60) != 0
        assert started
    finally:
        process.kill()
        process.wait()
        Handler.over.set()
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_not_a_zip_archive(served, offer):
    (served[0] / "page.zip").write_text("<html>Please log in</html>")
    page = offer("page.zip")
    for attempt in (1, 2):  # it is not kept
        message = page.failure()
        assert "it is no zip archive, it begins with b'<html>Please log in</html>'" in message
        assert Handler.requests == attempt


def test_incomplete(offer, archive):
    incomplete = offer(constants={"PUBLISHED": Published(5, 2, {})})
    with pytest.raises(InputError, match=r"the download has 4 recordings, the corpus has 5\. Remove .*downloads"):
        incomplete.prepare()


@pytest.mark.parametrize("name", ["savee", "iemocap", "folder/mine", "shemo/corrected"])
def test_what_its_owners_give_to_people_alone(name, tmp_path):
    with pytest.raises(InputError, match=f"{name} cannot be downloaded by a program; give --manual_dir=MANUAL_DIR"):
        datasets.prepare(name, None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_lacks_the_corpus_says_how_to_get_it(recordings_dir):
    with pytest.raises(
        InputError, match=r"no folder 'urdu'.*\nWithout --manual_dir it is downloaded; by hand: Get https"
    ):
        datasets.check("urdu", recordings_dir)
    with pytest.raises(InputError, match=r"no folder 'savee'.*\nTo get it: Register at .*\n.*MANUAL_DIR/savee/"):
        datasets.check("savee", recordings_dir)


def test_where_the_corpora_are_downloaded_from(tmp_path):
    found = {
        name: [one[:3] for one in datasets.builder(name, tmp_path).downloads]
        for name in (*datasets.PAPER, "shemo/corrected")
    }
    urdu = "https://github.com/siddiquelatif/URDU-Dataset/archive/4b546d4e0fa36d1c86c53a281631b2ab7ce2fdec.zip"
    tess = "https://borealisdata.ca/api/access/dataset/:persistentId/?persistentId=doi:10.5683/SP2/E8H2MF"
    drive = (
        "https://drive.usercontent.google.com/download?id=1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo&export=download&confirm=t"
    )
    zenodo = "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip"
    shemo = "https://github.com/mansourehk/ShEMO/raw/master/{}.zip"
    assert found == {
        "tess": [(tess, None, None)],
        "ravdess": [(zenodo, 208_468_073, "bc696df654c87fed845eb13823edef8a")],
        "savee": [],
        "iemocap": [],
        "emodb": [("http://emodb.bilderbar.info/download/download.zip", None, None)],
        "emovo": [(drive, None, None)],
        "shemo": [(shemo.format(part), None, None) for part in ("female", "male")],
        "shemo/corrected": [],  # its list is not in the archives
        "urdu": [(urdu, None, None)],
    }
