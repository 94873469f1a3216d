"""Downloads from a server on this machine: good, damaged, incomplete, refused and silent ones."""

import hashlib
import http.server
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tensorflow_datasets.core import utils
from tensorflow_datasets.core.download.checksums import UrlInfo

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
        assert f"the download of {self.url} failed: " in str(caught.value)
        assert "MANUAL_DIR/demo_LANGUAGE/" in str(caught.value)
        assert "--manual_dir=MANUAL_DIR" in str(caught.value)
        assert not [path for path in self.data.rglob("*") if path.is_file() or ".tmp." in path.name]
        return str(caught.value)


@pytest.fixture
def offer(served, tmp_path):
    """offer(url or file that is served, constants={of the corpus's class}, **fields of Download)."""

    def make(file="demo_urdu.zip", constants=None, **fields):
        url = file if "://" in file else f"{served[1]}/{file}"
        constants = {"DOWNLOADS": (Download(url, **fields),), **(constants or {})}
        # TFDS looks for the class's file.
        constants |= {"name": "demo_urdu", "__module__": DemoUrdu.__module__}
        offered = type("Offered", (DemoUrdu,), constants, skip_registration=True)

        def build(name, data_dir, **options):
            return offered(data_dir=data_dir, options=datasets.Options(**options))

        return Offer(url, tmp_path / "data", build)

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


def test_another_file_than_the_published_one(served, offer, archive):
    info = UrlInfo(size=utils.Size(archive.stat().st_size), checksum="0" * 64, filename="x.zip")
    wrong = {
        offer(size=3): "bytes, expected 3",
        offer(md5="0" * 32): "its md5 is [0-9a-f]{32}, expected 0000",
        # sha256, of checksums.tsv
        offer(constants={"url_infos": {f"{served[1]}/demo_urdu.zip": info}}): "Expected: .*0000.* Got: ",
    }
    for offered, reason in wrong.items():
        for _ in range(2):  # what was wrong is not kept
            assert re.search(f"the file is not the published one.*{reason}", offered.failure())
    assert Handler.requests == 2 * len(wrong)


def test_where_the_corpora_are_downloaded_from(tmp_path):
    """With the sizes and digests that are published: md5, or sha256 of checksums.tsv."""
    found = []
    for name in (*datasets.PAPER, "shemo/corrected"):
        builder = datasets.builder(name, tmp_path)
        for url, size, md5 in builder.downloads:
            info = builder.url_infos.get(url) if builder.url_infos else None
            found.append((name, url, int(info.size) if info else size, info.checksum[:8] if info else md5))
    drive = "https://drive.usercontent.google.com/download?id=1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo&export=download"
    zenodo = "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip"
    shemo = "https://github.com/mansourehk/ShEMO/raw/master"
    urdu = "https://github.com/siddiquelatif/URDU-Dataset/archive/4b546d4e0fa36d1c86c53a281631b2ab7ce2fdec.zip"
    tess = "https://borealisdata.ca/api/access/dataset/:persistentId/?persistentId=doi:10.5683/SP2/E8H2MF"
    assert found == [
        ("tess", tess, None, None),
        ("ravdess", zenodo, 208_468_073, "bc696df654c87fed845eb13823edef8a"),
        ("emodb", "http://emodb.bilderbar.info/download/download.zip", None, None),
        ("emovo", f"{drive}&confirm=t", None, None),
        ("shemo", f"{shemo}/female.zip", 374_368_830, "663d8d7d"),
        ("shemo", f"{shemo}/male.zip", 496_606_401, "747670d0"),
        ("urdu", urdu, None, None),
    ]


def test_what_cannot_be_fetched(served, offer, monkeypatch):
    monkeypatch.setattr("metaser_jax.datasets.downloads.READ_SECONDS", 0.3)
    (served[0] / "page.zip").write_text("<html>Please log in</html>")
    for offered, reason in {
        offer("nothing.zip"): r"HTTP code: 404",
        offer("http://127.0.0.1:9/a.zip"): "ConnectionError: .*refused",
        offer("silent.zip"): "(?i)timed out",
        offer("broken.zip"): r"IncompleteRead\(200 bytes read, 800 more expected\)",
        offer("page.zip"): "it is no zip archive, it begins with b'<html>Please log in</html>'",
    }.items():
        assert re.search(reason, offered.failure())


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
    how = "Without --manual_dir it is downloaded; by hand: Get https"
    with pytest.raises(InputError, match=rf"no folder 'urdu'.*\n{how}"):
        datasets.check("urdu", recordings_dir)
    with pytest.raises(InputError, match=r"no folder 'savee'.*\nTo get it: Register at .*\n.*MANUAL_DIR/savee/"):
        datasets.check("savee", recordings_dir)
