"""A server in a thread, at a free port, and what a page would ask it."""

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
from fakes import fake_model
from sounds import encoded

from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.serve import reading
from metaser_jax.serve.app import Limits, make_app
from metaser_jax.serve.web import listen, server_of

RATE = 22050
# Of a model like conftest's that predicts otherwise.
OTHER = fake_model(seed=1, normalise="utterance").params
LIMITS = Limits(max_upload=2**20, max_seconds=60.0, max_clips=5)


class ReadersHere:
    """As reading.Readers, in this process."""

    async def read(self, name: str, data: bytes) -> reading.Reading:
        try:
            return reading.read_upload(name, data, LIMITS.max_seconds)
        except reading.RecordingError as error:
            raise reading.unreadable(error) from None

    def close(self) -> None:
        pass


class Answer(NamedTuple):
    """Attributes: status; headers, names in lower case; body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert list(self.json) == ["error"]
        assert "Traceback" not in self.json["error"]
        assert "/metaser_jax/" not in self.json["error"]
        return self.json["error"]


class Page:
    """A page at the server. Attributes: port; token, None before it is opened."""

    def __init__(self, port: int, *, opened: bool = True):
        self.port = port
        self.token = None
        if opened:
            self.opened = self.ask("POST", "/api/pages").json
            self.token = self.opened["token"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Keywords are headers, x_page for X-Page; a dict is sent as JSON."""
        given = {"X-Page": self.token} if self.token else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, given)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def add(self, data: bytes, name: str = "clip.wav", **query: str) -> Answer:
        return self.ask("POST", f"/api/clips?{urlencode({'name': name, **query})}", data)

    def tell(self, *clips: dict, **said: Any) -> Answer:
        """Say emotion or speaker, or both, of clips."""
        return self.ask("PUT", "/api/clips", {"clips": [clip["id"] for clip in clips], **said})

    def say(self, clip: dict, emotion: str | None) -> Answer:
        return self.tell(clip, emotion=emotion)

    def remove(self, *clips: dict) -> Answer:
        return self.ask("DELETE", "/api/clips", {"clips": [clip["id"] for clip in clips]})

    def clips(self) -> list[dict]:
        return self.ask("GET", "/api/page").json["clips"]

    def until_done(self) -> dict:
        """Wait for the adaptation, and return what became of it."""
        while (now := self.ask("GET", "/api/adaptation").json)["state"] == "running":
            time.sleep(0.01)
        return now

    def adapt(self) -> dict:
        """Waits until it is done: the page as it is then."""
        assert self.ask("POST", "/api/adaptation").status == 202
        return self.until_done() | self.ask("GET", "/api/page").json


def tone(hertz: float = 440.0, seconds: float = 0.5, seed: int = 0) -> np.ndarray:
    """[n] float32."""
    time_ = np.arange(int(RATE * seconds)) / RATE
    noise = np.random.default_rng(seed).normal(scale=0.01, size=len(time_))
    return (0.3 * np.sin(2 * np.pi * hertz * time_) + noise).astype(np.float32)


def wav(*args, **keywords) -> bytes:
    """As `tone`."""
    return encoded(tone(*args, **keywords), RATE)


@contextlib.contextmanager
def serving(model: Model | Predictor, readers: Any = None, limits: Limits = LIMITS, **keywords: Any) -> Iterator[int]:
    """A server of the model; yields its port."""
    predictor = model if isinstance(model, Predictor) else Predictor(model)
    app = make_app(predictor, "a model", limits, readers or ReadersHere(), "127.0.0.1", **keywords)
    listening = listen("127.0.0.1", 0)
    server = server_of(app)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
