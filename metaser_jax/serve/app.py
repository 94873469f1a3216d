"""The application: the requests that the page may send, and their handlers.

A page opens (POST /api/pages) and is given a token, which every other request repeats in the header X-Page; another
site cannot set it. Uploads are raw bytes. Every error is {"error": message for people}.
"""

import asyncio
import contextlib
import dataclasses
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from metaser_jax.adaptation.few_clips import adapt_again
from metaser_jax.audio.clips import Clip
from metaser_jax.audio.containers import SUFFIXES
from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.data.together import voices_of
from metaser_jax.errors import InputError, check_choice
from metaser_jax.recogniser.evaluation import learned_from
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import Prediction, Predictor
from metaser_jax.serve import answers, pages
from metaser_jax.serve.pages import Adaptation, Heard, Page, Seen, base_name, printable
from metaser_jax.serve.reading import Readers
from metaser_jax.serve.web import Guard, Refused, read_body, read_json, refusal

_UPLOAD_WAIT = 120.0
_FOLDER = Path(__file__).with_name("page")

Learn = Callable[[Model, Corpus, Callable[[int, int], None]], Model]


class _Stopped(Exception):
    """The person at the page ended the adaptation."""


class Limits(NamedTuple):
    """Limits of what a page may send.

    Attributes:
      max_upload: bytes.
      max_seconds: of a recording.
      max_clips: of a page.
    """

    max_upload: int
    max_seconds: float
    max_clips: int


def make_app(
    predictor: Predictor, name: str, limits: Limits, readers: Readers, host: str, learn: Learn = adapt_again
) -> Guard:
    """Return the ASGI application.

    Args:
      predictor: of the model as loaded. name: of it, where it does not say its own.
      readers: ended with the application.
      host: that it is bound to; requests must name it, this machine, or a number.
      learn: see few_clips.adapt_again.
    """
    service = _Service(predictor, name, limits, readers, learn)
    routes = [
        Route("/api/pages", service.open, methods=["POST"]),
        Route("/api/page", service.see, methods=["GET"]),
        Route("/api/page", service.choose, methods=["PUT"]),
        Route("/api/adaptation", service.adaptation, methods=["GET"]),
        Route("/api/adaptation", service.adapt, methods=["POST"]),
        Route("/api/adaptation", service.go_back, methods=["DELETE"]),
        Route("/api/adaptation/stop", service.stop, methods=["POST"]),
        Route("/api/model.zip", service.download, methods=["GET"]),
        Route("/api/clips", service.add, methods=["POST"]),
        Route("/api/clips", service.correct, methods=["PUT"]),
        Route("/api/clips", service.remove, methods=["DELETE"]),
        Mount("/", StaticFiles(directory=_FOLDER, html=True)),
    ]
    handlers = dict.fromkeys((InputError, HTTPException, Exception), _error)
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=service.lifespan), host)


class _Service:
    """The answers."""

    def __init__(self, predictor: Predictor, name: str, limits: Limits, readers: Readers, learn: Learn):
        self._name = name
        self._limits = limits
        self._readers = readers
        self._learn = learn
        self._told = {"bytes": limits.max_upload, "seconds": limits.max_seconds, "clips": limits.max_clips}
        self._told["suffixes"] = sorted(SUFFIXES)
        self._pages = pages.Pages(lambda: Page(predictor, limits.max_clips))
        self._predicting = asyncio.Lock()
        self._adapting: asyncio.Task | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        if self._adapting is not None:
            self._adapting.cancel()
        self._readers.close()

    def _page(self, request: Request) -> Page:
        return self._pages.find(request.headers.get("x-page", ""))

    async def open(self, request: Request) -> Response:
        """Open the page of a token, which a reload repeats, or a new one; `lost`: the token's is forgotten."""
        token = request.headers.get("x-page", "")
        known = token in self._pages
        opened = token if known else self._pages.open()
        about = answers.of_page(self._pages.find(opened), self._name, self._told, peaks=True)
        return JSONResponse({"token": opened, "lost": bool(token) and not known, **about}, 200 if known else 201)

    async def see(self, request: Request) -> Response:
        return JSONResponse(answers.of_page(self._page(request), self._name, self._told))

    async def choose(self, request: Request) -> Response:
        """Let the clips of a voice help each other, or not: {"together": true or false}."""
        page, said = self._page(request), await read_json(request)
        if not isinstance(said.get("together"), bool):
            raise Refused(400, "The request does not say whether clips are labelled together.")
        page.together = said["together"]
        await self._look(page)
        return JSONResponse(answers.of_page(page, self._name, self._told))

    async def add(self, request: Request) -> Response:
        """Take a recording.

        ?name is its file's, with its folders, which may say emotion and speaker; place, see parse_folders; speaker,
        whose it is where these do not say.
        """
        page = self._page(request)
        page.check_room()
        path, place, speaker = (request.query_params.get(key, "") for key in ("name", "place", "speaker"))
        told = pages.parse_folders(path, place, page.predictor.emotions)
        told["speaker"] = told["speaker"] or printable(speaker)
        name = base_name(path) or "recording"
        try:
            await asyncio.wait_for(page.uploads.acquire(), _UPLOAD_WAIT)
        except TimeoutError as error:
            raise Refused(503, "This page's other recordings are still being sent. Try again.") from error
        try:
            data = await read_body(request, self._limits.max_upload)
            reading = await self._readers.read(name, data)
        finally:
            page.uploads.release()
        heard = page.add(name, told, reading)
        try:
            await self._look(page)
        except BaseException:
            page.heard.pop(heard.id, None)
            raise
        return JSONResponse(answers.of_clip(page.find(heard.id), page.predictor.emotions, peaks=True), 201)

    async def _look(self, page: Page, predictor: Predictor | None = None) -> None:
        """Predict what came or changed, and all with another model, which then is the page's."""
        async with self._predicting:
            predictor = predictor or page.predictor
            seen: dict[str, Seen] = {}
            # Clips may come and change while others are predicted.
            while new := page.not_seen(predictor, seen):
                of = [(predictor, page.beside(heard)) for heard in new]
                named = [heard.speaker or UNKNOWN_SPEAKER for heard in new]
                clips = [heard.clip for heard in new]
                both = (predictor, page.loaded)
                *looked, voices = await _in_thread(_predict_both, *both, clips, named, page.together)
                seen |= {heard.id: Seen(*both) for heard, *both in zip(new, of, *looked, strict=True)}
                if any(heard.speaker for heard in new):
                    page.voices = voices
            page.see(predictor, seen)

    async def correct(self, request: Request) -> Response:
        """Take what the person says of clips: {"clips": ids}, and "emotion", "speaker", or both."""
        page = self._page(request)
        said = await read_json(request)
        clips = _named_clips(page, said)
        emotion, speaker, emotions = said.get("emotion"), said.get("speaker", ""), page.predictor.emotions
        if emotion is not None:
            check_choice("emotion", emotion if isinstance(emotion, str) else repr(emotion), emotions)
        if not isinstance(speaker, str):
            raise Refused(400, "The speaker is not a text.")
        for heard in clips:
            if "emotion" in said:
                heard.emotion = None if emotion is None else emotions.index(emotion)
            if "speaker" in said:
                heard.speaker = printable(speaker)
        await self._look(page)
        return JSONResponse({"clips": [answers.of_clip(heard, emotions) for heard in clips if heard.seen]})

    async def remove(self, request: Request) -> Response:
        """Forget clips: {"clips": ids}."""
        page = self._page(request)
        for heard in _named_clips(page, await read_json(request)):
            del page.heard[heard.id]
        await self._look(page)
        return JSONResponse({})

    async def adaptation(self, request: Request) -> Response:
        return JSONResponse(answers.of_adaptation(self._page(request).adaptation))

    async def adapt(self, request: Request) -> Response:
        page = self._page(request)
        if self._adapting is not None and not self._adapting.done():
            whose = "This page" if page.adaptation.state == "running" else "Another page"
            raise Refused(409, f"{whose} is being adapted just now. Try again when that is done.")
        if page.adaptation.state == "running":
            raise Refused(409, "This page goes back to the model as loaded just now. Try again when that is done.")
        labelled = page.labelled()
        if not labelled:
            raise Refused(409, "No clip has been corrected or confirmed yet: choose the emotion of some first.")
        loaded = page.loaded
        support = pages.support_with(loaded.model.support, labelled, loaded.emotions, loaded.model.encoder)
        page.adaptation = Adaptation("running", "Learning, and cross-validating")
        self._adapting = asyncio.create_task(self._adapt(page, support, len(labelled)))
        return JSONResponse({"state": "running"}, 202)

    async def _adapt(self, page: Page, support: Corpus, n_learned: int) -> None:
        adaptation = page.adaptation

        def progress(done: int, of: int) -> None:
            if adaptation.stop:
                raise _Stopped
            adaptation.done, adaptation.of = done, of
            adaptation.said = f"{done} of {of} trainings"

        try:
            model = await _in_thread(self._learn, page.loaded.model, support, progress)
            progress(adaptation.of, adaptation.of)
            adaptation.said = "Predicting all clips anew"
            await self._look(page, Predictor(model))
            page.n_learned, page.unsaved = n_learned, True
            adaptation.state, adaptation.said = "done", ""
        except _Stopped:
            adaptation.state, adaptation.said = "stopped", "Stopped. The model is as before."
        except InputError as error:
            adaptation.state, adaptation.said = "failed", str(error)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            said = "Adapting failed; the terminal that runs metaser serve says why. The model is as before."
            adaptation.state, adaptation.said = "failed", said

    async def stop(self, request: Request) -> Response:
        """End an adaptation as soon as the trainings that are under way are done."""
        adaptation = self._page(request).adaptation
        if adaptation.state == "running" and not adaptation.stop:
            adaptation.stop, adaptation.said = True, "Stopping"
        return JSONResponse(answers.of_adaptation(adaptation))

    async def go_back(self, request: Request) -> Response:
        page = self._page(request)
        if page.adaptation.state == "running":
            raise Refused(409, "This page is being adapted just now. Try again when that is done.")
        before = page.adaptation
        # Until it is done nothing else may begin.
        page.adaptation = Adaptation("running", "Predicting all clips anew")
        try:
            await self._look(page, page.loaded)
        except BaseException:
            page.adaptation = before
            raise
        page.n_learned, page.unsaved = 0, False
        page.adaptation = Adaptation()
        return JSONResponse(answers.of_page(page, self._name, self._told))

    async def download(self, request: Request) -> Response:
        page = self._page(request)
        model = page.predictor.model
        # The page's clips are not kept where those of the model as loaded are not, if they identify people.
        if model.settings.vectors[0] and page.loaded.model.support is None:
            model = dataclasses.replace(model, support=None)
        data = await _in_thread(_zipped, model)
        name = base_name(f"{answers.of_model(page.predictor.model, self._name)['name']}.zip").replace(" ", "_")
        page.unsaved = False
        disposition = f"attachment; filename*=UTF-8''{quote(name)}"
        return Response(data, media_type="application/zip", headers={"Content-Disposition": disposition})


def _zipped(model: Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="metaser_") as folder:
        save_model(f"{folder}/model", model)
        return Path(shutil.make_archive(f"{folder}/download", "zip", folder, "model")).read_bytes()


def _predict_both(
    predictor: Predictor, loaded: Predictor, clips: list[Clip], speakers: list[str], together: bool
) -> tuple[Sequence[Prediction], Sequence[Prediction | None], Sequence[bool], list[str]]:
    """Return what a model and the one as loaded hear in clips, which it has learned from, and how voices came out."""
    now, voices = _predict(predictor, clips, speakers, together)
    before = [None] * len(now) if predictor is loaded else _predict(loaded, clips, speakers, together)[0]
    return now, before, learned_from(clips, predictor.model.support).tolist(), voices


def _predict(
    predictor: Predictor, clips: list[Clip], speakers: list[str], together: bool
) -> tuple[Sequence[Prediction], list[str]]:
    """As metaser predict --together=auto or off."""
    if not together or predictor.why_alone(speakers):
        return predictor.predict_clips(clips, speakers=speakers), []
    beside = predictor.predict_together(clips, speakers)
    if beside.found is None or beside.why_off:
        return beside.alone, [f"Each clip is heard by itself: {beside.why_off}."]
    return beside.predictions, list(map(str, voices_of(beside.found, predictor.emotions).values()))


def _named_clips(page: Page, said: Mapping[str, Any]) -> list[Heard]:
    numbers = said.get("clips")
    if not isinstance(numbers, list):
        raise Refused(400, "The request does not say which clips.")
    return [page.find(str(number)) for number in dict.fromkeys(map(str, numbers))]


async def _error(request: Request, error: Exception) -> Response:
    if isinstance(error, InputError):
        error = Refused(422, str(error))
    elif not isinstance(error, HTTPException):  # Guard prints what it is
        error = Refused(500, "Something went wrong here; the terminal that runs metaser serve says what.")
    elif not isinstance(error, Refused):
        error = Refused(error.status_code, f"{request.method} {request.url.path[:100]}: {error.detail}.")
    return refusal(error)


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Return function(*args) in a thread of its own; what it raises is raised here.

    A daemon, unlike asyncio's own threads: Ctrl-C does not wait until an adaptation is done.
    """
    done = Future()
    done.set_running_or_notify_cancel()

    def work() -> None:
        try:
            done.set_result(function(*args))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(done)
