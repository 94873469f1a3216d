"""What a page asks, answered by a real server."""

import dataclasses
import io
import threading
import time
import zipfile

import numpy as np
import pytest
from fakes import fake_model, says_vectors
from served import LIMITS, OTHER, Page, ReadersHere, serving, wav
from sounds import encoded, noise

from metaser_jax.audio import clips as clips_
from metaser_jax.errors import InputError
from metaser_jax.recogniser.folder import digest, load_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.serve import answers, pages
from metaser_jax.serve.pages import MAX_PAGES, Heard, support_with

EMOTIONS = ["angry", "happy", "neutral", "sad"]


def test_a_new_page_is_told_of_the_model(page, model):
    told = page.opened["model"]
    assert (told["name"], told["language"], told["emotions"]) == ("fake", "Esperanto", EMOTIONS)
    assert told["score"]["macro_f1"] == 0.61
    assert told["score"]["interval"] == [0.42, 0.8]
    assert told["limits"] == model.about["limits"]
    assert told["calibration"] == model.about["calibration"]["verdict"]
    assert page.opened["clips"] == []
    assert page.opened["limits"]["bytes"] == 2**20
    with serving(dataclasses.replace(fake_model(), about={})) as port:
        told = Page(port).opened["model"]
    assert (told["name"], told["score"], told["calibrated"], told["calibration"]) == ("a model", None, False, None)


def test_a_clip_is_heard(page):
    answer = page.add(wav(seconds=1.0), "one.wav", speaker="Ana")
    assert answer.status == 201
    clip = answer.json
    assert (clip["name"], clip["speaker"], clip["seconds"]) == ("one.wav", "Ana", pytest.approx(1.0))
    assert clip["label"] == EMOTIONS[np.argmax(clip["probabilities"])]
    assert sum(clip["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert [(w["start"], w["end"]) for w in clip["track"]] == [(0.0, pytest.approx(1.0))]
    assert (clip["loaded"], clip["learned"]) == (None, False)
    assert (len(clip["peaks"]), max(clip["peaks"])) == (400, 1)
    assert page.clips() == [{key: value for key, value in clip.items() if key != "peaks"}]
    assert page.ask("POST", "/api/pages").json["clips"] == [clip]
    # What may make an answer wrong is noted.
    assert clip["notes"] == []
    assert len(page.add(encoded(noise(0.5) * 2**15, subtype="FLOAT")).json["notes"]) == 2
    said = page.add(encoded(np.full((22050, 1), 0.1)))
    assert said.status == 422
    assert "no sound" in said.error


def test_correct_adapt_look_download_go_back(page, learner, model, tmp_path):
    clips = [page.add(wav(hertz), f"{hertz}.wav").json for hertz in (300, 500, 700)]
    assert page.say(clips[0], "sad").json["clips"][0]["emotion"] == "sad"
    page.say(clips[1], "happy")
    page.say(clips[1], None)
    now = page.adapt()
    assert now["state"] == "done"
    assert now["n_learned"] == 1
    assert now["model"]["score"]["verdict"] == "It proves nothing."
    for clip, seen in zip(clips, now["clips"], strict=True):
        assert seen["loaded"] == {"label": clip["label"], "probabilities": clip["probabilities"]}
        assert seen["probabilities"] != clip["probabilities"]
    given, support = learner.given
    assert given is not None
    assert len(support) == len(model.support) + 1
    assert (support.label[-1], support.file[-1], support.speaker[-1]) == (3, "page/300.wav", "unknown")

    answer = page.ask("GET", "/api/model.zip")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''fake.zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert digest(load_model(folder)) == digest(dataclasses.replace(model, params=OTHER))

    back = page.ask("DELETE", "/api/adaptation").json
    assert back["n_learned"] == 0
    for clip, seen in zip(clips, back["clips"], strict=True):
        assert seen["loaded"] is None
        assert seen["probabilities"] == clip["probabilities"]


class Gate(Predictor):
    """Waits for `open` before it predicts, and says so by `waits`. Attributes: port, of a server with it."""

    port = 0

    def __init__(self, model):
        super().__init__(model)
        self.open, self.waits = threading.Event(), threading.Event()

    def predict_clips(self, clips, **options):
        self.waits.set()
        assert self.open.wait(30)
        return super().predict_clips(clips, **options)


@pytest.fixture
def gate(model, learner):
    """The model as loaded waits; those that are learned do not."""
    gate = Gate(model)
    gate.open.set()
    learner.fails = None
    learner.may.set()
    with serving(gate, learn=learner) as gate.port:
        yield gate
        gate.open.set()
        learner.may.set()


@pytest.mark.parametrize("alone", [True, False])
def test_a_clip_that_is_predicted_while_the_model_changes_has_the_new_ones_prediction(learner, gate, alone):
    page = Page(gate.port)
    first = page.add(wav(300)).json
    page.say(first, "sad")
    learner.may.clear()
    page.ask("POST", "/api/adaptation")
    if alone:
        page.remove(first)
    gate.open.clear()
    gate.waits.clear()
    adding = threading.Thread(target=lambda: page.add(wav(400)))
    adding.start()
    assert gate.waits.wait(30)
    learner.may.set()
    while page.ask("GET", "/api/adaptation").json["said"].endswith("trainings"):
        time.sleep(0.01)
    gate.open.set()
    adding.join()
    page.until_done()
    later = page.ask("GET", "/api/page").json["clips"][-1]
    assert later["probabilities"] == page.add(wav(400)).json["probabilities"]
    assert later["probabilities"] != page.ask("DELETE", "/api/adaptation").json["clips"][-1]["probabilities"]


def test_an_adaptation_does_not_begin_while_the_page_goes_back(learner, gate):
    page = Page(gate.port)
    page.say(page.add(wav(300)).json, "sad")
    page.adapt()
    gate.open.clear()
    gate.waits.clear()
    back = threading.Thread(target=page.ask, args=("DELETE", "/api/adaptation"))
    back.start()
    assert gate.waits.wait(30)
    refused = page.ask("POST", "/api/adaptation")
    gate.open.set()
    back.join()
    assert refused.status == 409
    assert "goes back" in refused.error
    now = page.ask("GET", "/api/page").json
    assert (now["n_learned"], now["adaptation"]["state"]) == (0, "none")
    assert page.adapt()["state"] == "done"


def test_the_last_word_on_the_same_recording_counts(page, learner, model):
    for emotion in ("sad", "happy"):
        page.say(page.add(wav(300), "one.wav").json, emotion)
    page.say(page.add(wav(310), "one.wav").json, "angry")
    page.adapt()
    support = learner.given[1]
    assert support.file[len(model.support) :].tolist() == ["page/one.wav", "page/one.wav (2)"]
    assert support.label[len(model.support) :].tolist() == [1, 0]
    # Nor does a recording that the model has learned from count twice.
    own = {"sha256": model.support.sha256[3], "seconds": 1.0, "frames": np.ones((130, 20), np.float32)}
    clip = clips_.Clip(sample_rate=22050, quality=None, **own)
    heard = Heard(id="1", name="a", speaker="", clip=clip, peaks=None, emotion=2)
    support = support_with(model.support, [heard], model.settings.emotions)
    assert (len(support), support.label[-1]) == (len(model.support), 2)
    assert model.support.file[3] not in support.file
    assert len(support_with(None, [heard], model.settings.emotions)) == 1


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
    page.until_done()
    assert other.adapt()["state"] == "done"


def test_an_adaptation_that_cannot_be_says_why(page, learner, capfd):
    assert "No clip has been corrected" in page.ask("POST", "/api/adaptation").error
    clip = page.add(wav()).json
    page.say(clip, "sad")
    learner.fails = InputError("Two emotions are needed.")
    now = page.adapt()
    assert (now["state"], now["said"]) == ("failed", "Two emotions are needed.")
    learner.fails = ZeroDivisionError("secret")
    now = page.adapt()
    assert now["state"] == "failed"
    assert "secret" not in now["said"]
    assert "secret" in capfd.readouterr().err
    assert now["clips"][0]["probabilities"] == clip["probabilities"], "the model is as before"
    learner.fails = None
    assert page.adapt()["state"] == "done"


def test_an_adaptation_counts_and_can_be_stopped(page, learner):
    clip = page.add(wav()).json
    page.say(clip, "sad")
    learner.may.clear()
    page.ask("POST", "/api/adaptation")
    while (now := page.ask("GET", "/api/adaptation").json)["done"] == 0:
        time.sleep(0.01)
    assert (now["state"], now["done"], now["of"]) == ("running", 1, 3)
    assert page.ask("POST", "/api/adaptation/stop").json["said"] == "Stopping"
    learner.may.set()
    stopped = page.until_done()
    assert (stopped["state"], stopped["said"]) == ("stopped", "Stopped. The model is as before.")
    assert page.clips()[0]["probabilities"] == clip["probabilities"]
    assert page.adapt()["state"] == "done"
    assert page.ask("POST", "/api/adaptation/stop").json["state"] == "done"


def test_many_clips_are_told_of_at_once(page):
    clips = [page.add(wav(hertz)).json for hertz in (300, 400, 500)]
    told = page.tell(*clips[:2], emotion="sad", speaker=" Ana\n").json["clips"]
    expected = [(clip["id"], "sad", "Ana") for clip in clips[:2]]
    assert [(clip["id"], clip["emotion"], clip["speaker"]) for clip in told] == expected
    page.tell(clips[0], emotion=None)
    assert [(clip["emotion"], clip["speaker"]) for clip in page.clips()] == [(None, "Ana"), ("sad", "Ana"), (None, "")]
    page.remove(*clips[1:])
    assert [clip["id"] for clip in page.clips()] == [clips[0]["id"]]


@pytest.mark.parametrize(
    ("name", "place", "emotion", "speaker", "unknown"),
    [
        *((name, "clips", "angry", "ana", "") for name in ("clips/angry/ana/1.wav", "clips/ana/Anger/1.wav")),
        *(("angry/1.wav", "angry", "angry", "typed", ""), ("ana/sad/1.wav", "", "sad", "ana", "")),
        ("clips/calm/1.wav", "clips", None, "typed", "calm"),
        *((name, "clips", None, "typed", "") for name in ("clips/ana/1.wav", "1.wav")),
    ],
)
def test_folders_say_emotion_and_speaker(page, name, place, emotion, speaker, unknown):
    clip = page.add(wav(), name, place=place, speaker="typed").json
    assert (clip["emotion"], clip["speaker"], clip["unknown"]) == (emotion, speaker, unknown)
    assert clip["name"] == "1.wav"


def test_a_voices_other_clips_count_as_in_evaluate():
    model = fake_model(features="voice", normalise="speaker", temperature=1000.0)
    recordings = [wav(hertz, seconds=1.0, seed=hertz) for hertz in (200, 300, 500)]
    clips = [clips_.read_clip(clips_.Upload("a.wav", data), features="voice") for data in recordings]

    def heard(*speakers):
        predictions = Predictor(model).predict_clips(clips, speakers=[speaker or "unknown" for speaker in speakers])
        return [pytest.approx([float(p) for p in one.probabilities], abs=1e-4) for one in predictions]

    with serving(model) as port:
        page = Page(port)
        assert page.opened["model"]["by_speaker"]
        told = [page.add(data, speaker=name).json for data, name in zip(recordings, ("ana", "ana", ""), strict=True)]

        def probabilities():
            return [clip["probabilities"] for clip in page.clips()]

        assert probabilities() == heard("ana", "ana", "")
        assert told[0]["probabilities"] != page.clips()[0]["probabilities"], "another clip of the voice came"
        page.tell(told[2], speaker="ana")
        assert probabilities() == heard("ana", "ana", "ana")
        page.tell(told[0], speaker="bo")
        assert probabilities() == heard("bo", "ana", "ana")
        page.remove(told[2])
        assert probabilities() == heard("bo", "ana", "ana2")[:2]
        page.tell(told[0], speaker="")
        assert probabilities() == heard("", "ana", "ana2")[:2]


def test_clips_of_voices_help_each_other_as_in_predict():
    model = fake_model(features="voice", normalise="speaker", temperature=60.0)
    recordings = [wav(200 + 50 * i, seconds=1.0, seed=i) for i in range(13)]
    clips = [clips_.read_clip(clips_.Upload("a.wav", data), features="voice") for data in recordings]
    names = ["ana", "bo"] * 6 + [""]

    def heard(predictions):
        return [pytest.approx([float(p) for p in one.probabilities], abs=1e-4) for one in predictions]

    expected = Predictor(model).predict_together(clips, [name or "unknown" for name in names])
    assert heard(expected.predictions) != heard(expected.alone)
    with serving(model, limits=LIMITS._replace(max_clips=13)) as port:
        page = Page(port)
        assert (page.opened["model"]["together"], page.opened["together"], page.opened["voices"]) == (True, True, [])
        told = [page.add(data, speaker=name).json for data, name in zip(recordings, names, strict=True)]

        def probabilities():
            return [clip["probabilities"] for clip in page.clips()]

        assert probabilities() == heard(expected.predictions)
        (ana, bo) = page.ask("GET", "/api/page").json["voices"]
        assert ana.startswith("voice ana, 6 recordings: ")
        assert "few, under 8" in bo
        alone = page.ask("PUT", "/api/page", {"together": False}).json
        assert [clip["probabilities"] for clip in alone["clips"]] == heard(expected.alone)
        assert (alone["together"], alone["voices"]) == (False, [])
        page.ask("PUT", "/api/page", {"together": True})
        assert probabilities() == heard(expected.predictions)
        page.tell(*told, speaker="")
        assert page.ask("GET", "/api/page").json["voices"] == []
        assert page.ask("PUT", "/api/page", {"together": "yes"}).status == 400
    assert not answers.of_model(fake_model(), "a")["together"]


def test_a_page_keeps_no_vectors_of_people():
    """Nor says them; a model whose owner has kept those of clips keeps them."""
    model, learned = fake_model(features="encoder", normalise="speaker", temperature=60.0), []

    def learn(model, support, progress):
        learned.append(support)
        return dataclasses.replace(model, support=support)

    for loaded in (dataclasses.replace(model, support=None), model):
        with serving(loaded, learn=learn) as port:
            page = Page(port)
            page.say(page.add(wav(seconds=1.0), speaker="ana").json, "sad")
            page.adapt()
            zipped = page.ask("GET", "/api/model.zip").body
            told = page.ask("GET", "/api/page").body.decode()
        vectors = learned[-1].vectors
        assert says_vectors(str(vectors[0, 1].tolist()), vectors)
        assert not says_vectors(told, vectors)
        names = [name.partition("/")[2] for name in zipfile.ZipFile(io.BytesIO(zipped)).namelist()]
        assert ("support.npz" in names) == (loaded.support is not None)
        assert "encoder.npz" in names


def test_a_page_is_there_again_after_a_reload(page, port):
    clip = page.add(wav()).json
    page.say(clip, "sad")
    assert not page.ask("GET", "/api/page").json["unsaved"]
    assert page.adapt()["unsaved"]
    again = Page(port, opened=False)
    again.token = page.token
    told = again.ask("POST", "/api/pages").json
    assert (told["token"], told["lost"]) == (page.token, False)
    assert told["limits"] == page.opened["limits"]
    assert told["n_learned"] == 1
    (kept,) = told["clips"]
    assert (kept["emotion"], kept["peaks"]) == ("sad", clip["peaks"])
    assert kept["loaded"]["probabilities"] == clip["probabilities"]
    again.token = "of a server that was ended"
    new = again.ask("POST", "/api/pages").json
    assert (new["lost"], new["clips"]) == (True, [])
    assert new["token"] not in (page.token, again.token)
    again.token = page.token
    again.ask("GET", "/api/model.zip")
    assert not again.ask("GET", "/api/page").json["unsaved"]


def test_a_clip_is_its_pages_until_it_is_removed(page, port):
    clip = page.add(wav()).json
    other = Page(port)
    assert other.clips() == []
    assert other.say(clip, "sad").status == 404
    assert page.remove(clip).status == 200
    assert page.clips() == []
    assert page.remove(clip).status == page.say(clip, "sad").status == 404


@pytest.mark.parametrize("token", ["", "x" * 32, "é"])
def test_without_a_token_nothing_is_told(port, token):
    stranger = Page(port, opened=False)
    stranger.token = token
    for method, path in (("GET", "/api/page"), ("POST", "/api/clips?name=a"), ("GET", "/api/model.zip")):
        assert stranger.ask(method, path).status == 410


def test_pages_that_anybody_opens_drop_each_other_and_none_with_clips(model):
    """However many: the reason, too, is the right one afterwards."""
    with serving(model) as port:
        page = Page(port)
        clip = page.add(wav()).json
        first, used = Page(port), Page(port)
        for _ in range(MAX_PAGES - 3):
            Page(port)
        for _ in range(2):
            assert used.ask("GET", "/api/page").status == 200, "another was not used for longer"
            Page(port)
        strangers = [Page(port) for _ in range(30)]
        assert [one["id"] for one in page.clips()] == [clip["id"]]
        assert strangers[-1].ask("GET", "/api/page").status == 200
        refused = first.ask("GET", "/api/page")
    assert refused.status == 410
    assert "8 other pages" in refused.error


def test_a_page_holds_so_many_clips_and_hours(port, page, monkeypatch):
    assert [page.add(wav()).status for _ in range(LIMITS.max_clips + 1)] == [201] * LIMITS.max_clips + [409]
    page.remove({"id": "1"})
    assert page.add(wav()).status == 201
    monkeypatch.setattr(pages, "MAX_HOURS", 1.2 / 3600)
    other = Page(port)
    assert [other.add(wav(seconds=0.5)).status for _ in range(3)] == [201, 201, 409]
    assert len(other.clips()) == 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        *(("../../etc/passwd", "passwd"), ("C:\\clips\\a.wav", "a.wav"), ("a\n\x00\u202eb.wav", "ab.wav")),
        *(("", "recording"), ("/", "recording"), ("<b>آواز.wav", "<b>آواز.wav"), ("x" * 500, "x" * 120)),
    ],
)
def test_names_are_the_last_part_of_what_is_sent(page, name, shown):
    assert page.add(wav(), name).json["name"] == shown


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        *((sent, 400) for sent in (b"", b"{", b"[]", b"\xff", b"[" * 4000, b'{"emotion": "sad"}', b'{"clips": "ID"}')),
        *((b"9" * 5000, 413), (b'{"clips": ["ID"], "speaker": 1}', 400)),
        *((b'{"clips": ["ID"], "emotion": ' + word + b"}", 422) for word in (b'"calm"', b"3")),
        (b'{"clips": ["ID", "99"], "emotion": "sad"}', 404),
    ],
)
def test_a_correction_that_is_none(page, sent, status):
    clip = page.add(wav()).json
    refused = page.ask("PUT", "/api/clips", sent.replace(b"ID", clip["id"].encode()))
    assert (refused.status, bool(refused.error)) == (status, True)
    assert page.clips()[0]["emotion"] is None


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
