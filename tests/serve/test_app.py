"""A page's requests, answered by a real server; and those that no page of ours would make."""

import dataclasses
import io
import re
import socket
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fakes import fake_model
from served import LIMITS, Page, ReadersHere, serving, tone

import metaser_jax.serve
from metaser_jax.adapted.files import digest, load_model
from metaser_jax.errors import InputError
from metaser_jax.predictor import Predictor
from metaser_jax.serve import app, body, sessions

EMOTIONS = ["angry", "happy", "neutral", "sad"]
# Of a model that predicts otherwise.
OTHER = fake_model(seed=1, normalise="utterance").params


def wav(*args, **keywords) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(*args, **keywords), 22050, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="module")
def model():
    return fake_model(normalise="utterance")


class Learner:
    """Instead of an adaptation: another model, that predicts otherwise. Attributes: given, by the last call; may, what
    it waits for; fails, what it raises."""

    def __init__(self):
        self.given, self.fails = None, None
        self.may = threading.Event()
        self.may.set()

    def __call__(self, model, support, log):
        self.given = model, support
        log("learning")
        assert self.may.wait(30)
        if self.fails:
            raise self.fails
        scored = {"macro_f1": 0.5, "interval": [0.25, 0.75], "by": "speaker", "verdict": "It proves nothing."}
        return dataclasses.replace(model, params=OTHER, about=model.about | {"cross_validation": scored})


@pytest.fixture(scope="module")
def learner():
    return Learner()


@pytest.fixture(scope="module")
def port(model, learner):
    with serving(model, learn=learner) as port:
        yield port


@pytest.fixture
def page(port):
    return Page(port)


def test_a_new_page_is_told_of_the_model(page, model):
    told = page.opened["model"]
    assert told["name"] == "fake"
    assert told["language"] == "Esperanto"
    assert told["emotions"] == EMOTIONS
    assert told["score"]["macro_f1"] == 0.61
    assert told["score"]["interval"] == [0.42, 0.8]
    assert told["limits"] == model.about["limits"]
    assert page.opened["clips"] == []
    assert page.opened["limits"]["bytes"] == 2**20


def test_a_model_without_provenance():
    with serving(dataclasses.replace(fake_model(), about={})) as port:
        told = Page(port).opened["model"]
    assert told["name"] == "a model"
    assert told["score"] is None
    assert not told["calibrated"]


def test_a_clip_is_heard(page):
    answer = page.add(wav(seconds=1.0), "one.wav", speaker="Ana")
    assert answer.status == 201
    clip = answer.json
    assert clip["name"] == "one.wav"
    assert clip["speaker"] == "Ana"
    assert clip["seconds"] == pytest.approx(1.0)
    assert clip["label"] == EMOTIONS[np.argmax(clip["probabilities"])]
    assert sum(clip["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert [(w["start"], w["end"]) for w in clip["track"]] == [(0.0, pytest.approx(1.0))]
    assert clip["before"] is None
    assert len(clip["peaks"]) == 400
    assert max(clip["peaks"]) == 1
    seen = page.ask("GET", "/api/page").json["clips"]
    assert seen == [{key: value for key, value in clip.items() if key != "peaks"}]


def test_a_long_clip_has_a_window_every_1_39_seconds(page):
    noise = np.random.default_rng(0).normal(scale=0.1, size=9 * 22050)
    quiet = np.where(np.arange(len(noise)) < 3 * 22050, noise, 1e-3 * noise).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, quiet, 22050, format="WAV", subtype="FLOAT")
    track = page.add(file.getvalue()).json["track"]
    assert len(track) == 6
    assert track[1]["start"] == pytest.approx(60 * 512 / 22050)
    assert not track[0]["silent"]
    assert track[-1]["silent"]


def test_correct_adapt_look_download_go_back(page, learner, model, tmp_path):
    clips = [page.add(wav(hertz), f"{hertz}.wav").json for hertz in (300, 500, 700)]
    assert page.say(clips[0], "sad").json["emotion"] == "sad"
    page.say(clips[1], "happy")
    page.say(clips[1], None)
    now = page.adapt()
    assert now["state"] == "done"
    assert now["n_learned"] == 1
    assert now["model"]["score"]["verdict"] == "It proves nothing."
    for clip, seen in zip(clips, now["clips"], strict=True):
        assert seen["before"] == {"label": clip["label"], "probabilities": clip["probabilities"]}
        assert seen["probabilities"] != clip["probabilities"]
    given, support = learner.given
    assert given is not None
    assert len(support) == len(model.support) + 1
    assert support.label[-1] == 3
    assert support.file[-1] == "page/300.wav"
    assert support.speaker[-1] == "unknown"

    answer = page.ask("GET", "/api/model.zip")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''fake.zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert digest(load_model(folder)) == digest(dataclasses.replace(model, params=OTHER))

    back = page.ask("DELETE", "/api/adaptation").json
    assert back["n_learned"] == 0
    for clip, seen in zip(clips, back["clips"], strict=True):
        assert seen["before"] is None
        assert seen["probabilities"] == clip["probabilities"]


@pytest.fixture
def gate(model, monkeypatch):
    """Predicting with the model as loaded waits for `open`, and says so by `waits`."""
    gate = SimpleNamespace(open=threading.Event(), waits=threading.Event())
    predict = Predictor.predict_clips

    def slowly(self, clips):
        if self.model is model:
            gate.waits.set()
            assert gate.open.wait(30)
        return predict(self, clips)

    monkeypatch.setattr(Predictor, "predict_clips", slowly)
    gate.open.set()
    yield gate
    gate.open.set()


@pytest.mark.parametrize("alone", [True, False])
def test_a_clip_that_is_predicted_while_the_model_changes_has_the_new_ones_prediction(page, learner, gate, alone):
    first = page.add(wav(300)).json
    page.say(first, "sad")
    learner.may.clear()
    page.ask("POST", "/api/adaptation")
    if alone:
        page.ask("DELETE", f"/api/clips/{first['id']}")
    gate.open.clear()
    gate.waits.clear()
    adding = threading.Thread(target=lambda: page.add(wav(400)))
    adding.start()
    assert gate.waits.wait(30)
    learner.may.set()
    while alone and page.ask("GET", "/api/adaptation").json["state"] == "running":
        time.sleep(0.01)
    while page.ask("GET", "/api/adaptation").json["said"] == "learning":
        time.sleep(0.01)
    gate.open.set()
    adding.join()
    while page.ask("GET", "/api/adaptation").json["state"] == "running":
        time.sleep(0.01)
    later = page.ask("GET", "/api/page").json["clips"][-1]
    assert later["probabilities"] == page.add(wav(400)).json["probabilities"]
    assert later["probabilities"] != page.ask("DELETE", "/api/adaptation").json["clips"][-1]["probabilities"]


def test_the_last_word_on_the_same_recording_counts(page, learner, model):
    for emotion in ("sad", "happy"):
        page.say(page.add(wav(300), "one.wav").json, emotion)
    page.say(page.add(wav(310), "one.wav").json, "angry")
    page.adapt()
    support = learner.given[1]
    assert support.file[len(model.support) :].tolist() == ["page/one.wav", "page/one.wav (2)"]
    assert support.label[len(model.support) :].tolist() == [1, 0]


def test_a_recording_that_the_model_has_learned_from_counts_once(model):
    own = {"sha256": model.support.sha256[3], "seconds": 1.0, "frames": np.ones((130, 20), np.float32)}
    clip = sessions.Clip(sample_rate=22050, quality=None, **own)
    heard = sessions.Heard(id="1", name="a", speaker="", clip=clip, peaks=None, prediction=None, emotion=2)
    support = sessions.support_with(model.support, [heard])
    assert len(support) == len(model.support)
    assert support.label[-1] == 2
    assert model.support.file[3] not in support.file
    assert support.mfcc[-1].all()
    assert len(sessions.support_with(None, [heard])) == 1


def test_one_adaptation_at_a_time(port, page, learner):
    other = Page(port)
    for one in (page, other):
        one.say(one.add(wav()).json, "sad")
    learner.may.clear()
    assert page.ask("POST", "/api/adaptation").status == 202
    for one, whose in ((page, "This page"), (other, "Another page")):
        refused = one.ask("POST", "/api/adaptation")
        assert refused.status == 409
        assert whose in refused.error
    assert page.ask("DELETE", "/api/adaptation").status == 409
    learner.may.set()
    while page.ask("GET", "/api/adaptation").json["state"] == "running":
        time.sleep(0.01)
    assert other.adapt()["state"] == "done"


def test_an_adaptation_that_cannot_be_says_why(page, learner, monkeypatch, capfd):
    assert "No clip has been corrected" in page.ask("POST", "/api/adaptation").error
    clip = page.add(wav()).json
    page.say(clip, "sad")
    monkeypatch.setattr(learner, "fails", InputError("Two emotions are needed."))
    now = page.adapt()
    assert (now["state"], now["said"]) == ("failed", "Two emotions are needed.")
    monkeypatch.setattr(learner, "fails", ZeroDivisionError("secret"))
    now = page.adapt()
    assert now["state"] == "failed"
    assert "secret" not in now["said"]
    assert "secret" in capfd.readouterr().err
    assert now["clips"][0]["probabilities"] == clip["probabilities"], "the model is as before"
    monkeypatch.setattr(learner, "fails", None)
    assert page.adapt()["state"] == "done"


def test_a_clip_is_removed(page):
    clip = page.add(wav()).json
    assert page.ask("DELETE", f"/api/clips/{clip['id']}").status == 200
    assert page.ask("GET", "/api/page").json["clips"] == []
    for again in (page.ask("DELETE", f"/api/clips/{clip['id']}"), page.say(clip, "sad")):
        assert again.status == 404
        assert "not here any more" in again.error


def test_a_page_does_not_see_another_ones_clips(port, page):
    clip = page.add(wav()).json
    other = Page(port)
    assert other.ask("GET", "/api/page").json["clips"] == []
    assert other.say(clip, "sad").status == 404


@pytest.mark.parametrize("token", ["", "x" * 32, "é"])
def test_without_a_token_nothing_is_told(port, token):
    stranger = Page(port, opened=False)
    stranger.token = token
    for method, path in (("GET", "/api/page"), ("POST", "/api/clips?name=a"), ("GET", "/api/model.zip")):
        refused = stranger.ask(method, path)
        assert refused.status == 410
        assert "started anew" in refused.error


def test_the_page_that_was_not_used_for_longest_is_forgotten_and_told(model, monkeypatch):
    with serving(model) as port:
        pages = [Page(port) for _ in range(sessions.MAX_PAGES)]
        assert pages[0].ask("GET", "/api/page").status == 200
        Page(port)
        assert pages[0].ask("GET", "/api/page").status == 200
        refused = pages[1].ask("GET", "/api/page")
    assert refused.status == 410
    assert "8 other pages" in refused.error


def test_a_page_holds_so_many_clips_and_hours(page, monkeypatch):
    for _ in range(LIMITS.max_clips):
        assert page.add(wav()).status == 201
    refused = page.add(wav())
    assert refused.status == 409
    assert "5 clips" in refused.error
    page.ask("DELETE", "/api/clips/1")
    monkeypatch.setattr(sessions, "MAX_HOURS", 1e-4)
    assert "hours" in page.add(wav()).error
    assert len(page.ask("GET", "/api/page").json["clips"]) == LIMITS.max_clips - 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        *(("../../etc/passwd", "passwd"), ("C:\\clips\\a.wav", "a.wav"), ("a\n\x00\u202eb.wav", "ab.wav")),
        *(("", "recording"), ("/", "recording"), ("<b>آواز.wav", "<b>آواز.wav"), ("x" * 500, "x" * 120)),
    ],
)
def test_names_are_the_last_part_of_what_is_sent(page, name, shown):
    assert page.add(wav(), name).json["name"] == shown


# Who may ask


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "a:b:c"])
def test_other_names_are_not_served(port, host):
    refused = Page(port, opened=False).ask("GET", "/", host=host)
    assert refused.status in (400, 403)
    if refused.status == 403:
        assert "not served here" in refused.error


@pytest.mark.parametrize("host", ["localhost:9999", "LOCALHOST", "127.0.0.1", "[::1]:8000", "192.168.1.7:8000"])
def test_this_machine_and_numbers_are_served(port, host):
    assert Page(port, opened=False).ask("GET", "/", host=host).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "", "https://localhost.evil"])
def test_pages_of_other_sites_are_refused(page, origin):
    refused = page.ask("POST", "/api/pages", origin=origin)
    assert refused.status == 403
    assert "another site" in refused.error
    assert page.ask("GET", "/api/page", sec_fetch_site="cross-site").status == 403


def test_the_page_itself_is_not(port, page):
    own = {"origin": f"http://127.0.0.1:{port}", "sec_fetch_site": "same-origin"}
    assert page.ask("GET", "/api/page", **own).status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/page", "/nowhere"])
def test_headers(page, path):
    headers = page.ask("GET", path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_the_page_loads_nothing_from_elsewhere(page):
    folder = Path(metaser_jax.serve.__file__).parent / "page"
    for file in folder.iterdir():
        named = re.findall(r"(?:https?:)?//[a-z][^ \"']*", file.read_text(encoding="utf-8"))
        assert {name.rstrip("/") for name in named} <= {"http://www.w3.org/2000/svg", "http://localhost"}, file
        answer = page.ask("GET", f"/{file.name}")
        assert answer.status == 200
        assert answer.body == file.read_bytes()
    text = "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())
    for used in re.findall(r'(?:src|href|from|addModule)[=( ]"(/[^"]+)"', text):
        assert (folder / used.strip("/")).is_file(), used


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/api/nothing", 404), ("PUT", "/api/pages", 405), ("GET", "/../setup.py", 404), ("POST", "/", 405)),
        *(("GET", "/%2e%2e/sessions.py", 404), ("GET", "/sessions.py", 404), ("BREW", "/", 405)),
    ],
)
def test_what_is_not_there(page, method, path, status):
    refused = page.ask(method, path)
    assert refused.status == status
    assert refused.error


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        *((b"", "not JSON"), (b"{", "not JSON"), (b"[]", "not a JSON object"), (b"\xff", "not JSON")),
        *((b"[" * 4000, "not JSON"), (b"9" * 5000, "Larger than")),
        *((b'{"emotion": "calm"}', "'calm', expected one of: angry"), (b'{"emotion": 3}', "'3'")),
    ],
)
def test_a_correction_that_is_none(page, sent, said):
    clip = page.add(wav()).json
    refused = page.ask("PUT", f"/api/clips/{clip['id']}/emotion", sent)
    assert refused.status in (400, 413, 422)
    assert said in refused.error
    assert page.ask("GET", "/api/page").json["clips"][0]["emotion"] is None


def test_an_error_of_ours_is_an_answer_too(model, capfd):
    class Broken(ReadersHere):
        async def read(self, name, data):
            raise ZeroDivisionError("secret")

    with serving(model, Broken()) as port:
        page = Page(port)
        refused = page.add(wav())
        assert refused.status == 500
        assert "secret" not in refused.error
        while "secret" not in capfd.readouterr().err:  # it is answered first
            time.sleep(0.01)
        assert page.ask("GET", "/api/page").status == 200


# Uploads


def send(page: Page, *parts: bytes, headers: str = "", wait: bool = True) -> str:
    """Raw bytes over a connection that is then closed on this side; returns what was answered."""
    head = f"POST /api/clips?name=a.wav HTTP/1.1\r\nHost: localhost\r\nX-Page: {page.token}\r\n"
    head += f"Connection: close\r\n{headers}\r\n"
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"".join(parts))
        if not wait:
            return ""
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_too_large_by_its_own_word_is_refused_before_it_is_read(page):
    said = send(page, headers=f"Content-Length: {10**15}\r\n")
    assert " 413 " in said.splitlines()[0]
    assert "Larger than 1 MiB" in said


def test_too_large_without_a_word_is_refused_when_it_is(page):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    said = send(page, chunk * 17, headers="Transfer-Encoding: chunked\r\n")
    assert " 413 " in said.splitlines()[0]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "", "1, 2"])
def test_lengths_that_are_none(page, length):
    assert " 400 " in send(page, b"abc", headers=f"Content-Length: {length}\r\n").splitlines()[0]


def test_an_upload_that_breaks_off_leaves_nothing(page):
    send(page, b"RIFF", headers="Content-Length: 1000\r\n", wait=False)
    assert page.add(wav()).status == 201
    assert len(page.ask("GET", "/api/page").json["clips"]) == 1


def test_a_slow_upload_is_ended(page, monkeypatch):
    monkeypatch.setattr(app, "read_body", lambda request, limit: body.read_body(request, limit, pause=0.1))
    said = send(page, b"RIFF", headers="Content-Length: 1000\r\n")
    assert " 408 " in said.splitlines()[0]
    monkeypatch.setattr(app, "read_body", lambda request, limit: body.read_body(request, limit, in_all=0.1))
    assert " 408 " in send(page, b"RIFF", headers="Content-Length: 1000\r\n").splitlines()[0]


def test_uploads_together(page):
    names = [f"{i}.wav" for i in range(LIMITS.max_clips)]
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(page.add(wav(300 + 9 * len(n)), n))) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [201] * len(names)
    assert sorted(clip["name"] for clip in page.ask("GET", "/api/page").json["clips"]) == names
