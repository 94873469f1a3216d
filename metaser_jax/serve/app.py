"""The application: what the page may ask for, and what happens then.

A page opens (POST /api/pages) and is given a token, which every other request repeats in the header X-Page; another
site cannot set it. Uploads are raw bytes. Every error is {"error": message for people}.
"""

import asyncio
import contextlib
import dataclasses
import sys
import tempfile
import time
import traceback
import unicodedata
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from metaser_jax.audio.clips import SUFFIXES
from metaser_jax.errors import InputError, check_choice
from metaser_jax.few_clips.training import adapt_again
from metaser_jax.recogniser.folder import save_model, zip_model
from metaser_jax.recogniser.model import Model, Support
from metaser_jax.recogniser.predictor import Prediction, Predictor
from metaser_jax.serve import answers
from metaser_jax.serve.background import in_thread
from metaser_jax.serve.body import IN_ALL, PAUSE, read_body, read_json
from metaser_jax.serve.guard import FAILED, Guard, refusal
from metaser_jax.serve.reading import Readers
from metaser_jax.serve.refused import Refused
from metaser_jax.serve.sessions import MAX_HOURS, Page, Pages, support_with

# Uploads held in memory at once; others wait, and their senders with them.
UPLOADS = 4
_UPLOAD_WAIT = 120.0
_FOLDER = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

Learn = Callable[[Model, Support, Callable[[str], None]], Model]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What is taken.

    Attributes:
      max_upload: bytes.
      max_seconds: of a recording.
      max_clips: of a page.
      max_hours: of all clips of a page together.
      pause, in_all: seconds that an upload may take, see read_body.
    """

    max_upload: int
    max_seconds: float
    max_clips: int
    max_hours: float = MAX_HOURS
    pause: float = PAUSE
    in_all: float = IN_ALL


def make_app(
    predictor: Predictor,
    name: str,
    limits: Limits,
    readers: Readers,
    host: str = "127.0.0.1",
    learn: Learn = adapt_again,
) -> Guard:
    """Return the ASGI application.

    Args:
      predictor: of the model as loaded. name: of it, where it does not say its own.
      readers: ended with the application.
      host: that it is bound to; requests must name it, this machine, or a number.
      learn: see clip_adaptation.adapt_again.
    """
    service = _Service(predictor, name, limits, readers, learn)
    routes = [
        Route("/api/pages", service.open, methods=["POST"]),
        Route("/api/page", service.see, methods=["GET"]),
        Route("/api/adaptation", service.adaptation, methods=["GET"]),
        Route("/api/adaptation", service.adapt, methods=["POST"]),
        Route("/api/adaptation", service.go_back, methods=["DELETE"]),
        Route("/api/model.zip", service.download, methods=["GET"]),
        Route("/api/clips", service.add, methods=["POST"]),
        Route("/api/clips/{number}", service.remove, methods=["DELETE"]),
        Route("/api/clips/{number}/emotion", service.correct, methods=["PUT"]),
        *(Route(path, _file(file), methods=["GET"]) for path, file in _page_files().items()),
    ]
    handlers = {Refused: _refused, InputError: _input_error, HTTPException: _http_error, Exception: _failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=service.lifespan), host)


class _Service:
    """The answers."""

    def __init__(self, predictor: Predictor, name: str, limits: Limits, readers: Readers, learn: Learn):
        self._name = name
        self._limits = limits
        self._readers = readers
        self._learn = learn
        self._pages = Pages(lambda: Page(predictor, limits.max_clips, limits.max_hours))
        self._uploads = asyncio.Semaphore(UPLOADS)
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
        token, page = self._pages.open()
        limits = {
            "bytes": self._limits.max_upload,
            "seconds": self._limits.max_seconds,
            "clips": self._limits.max_clips,
            "suffixes": sorted(SUFFIXES),
        }
        return JSONResponse({"token": token, "limits": limits, **answers.of_page(page, self._name)}, 201)

    async def see(self, request: Request) -> Response:
        return JSONResponse(answers.of_page(self._page(request), self._name))

    async def add(self, request: Request) -> Response:
        page = self._page(request)
        page.check_room()
        name = _clean(request.query_params.get("name", "")) or "recording"
        speaker = _clean(request.query_params.get("speaker", ""))
        try:
            async with asyncio.timeout(_UPLOAD_WAIT):
                await self._uploads.acquire()
        except TimeoutError as error:
            raise Refused(503, "The server is busy with other recordings. Try again.") from error
        try:
            data = await read_body(request, self._limits.max_upload, self._limits.pause, self._limits.in_all)
            reading = await self._readers.read(name, data)
        finally:
            self._uploads.release()
        predictor = page.predictor
        (prediction,) = await self._predict(predictor, [reading.clip])
        heard = page.add(name, speaker, reading, prediction)
        while page.predictor is not predictor:
            # The model became another one meanwhile, and this clip was not among those that were predicted anew.
            predictor = page.predictor
            (prediction,) = await self._predict(predictor, [reading.clip])
            if page.predictor is predictor:
                heard.prediction = prediction
        return JSONResponse(answers.of_clip(heard, page.predictor.emotions, peaks=True), 201)

    async def _predict(self, predictor: Predictor, clips: list) -> list[Prediction]:
        async with self._predicting:
            return await in_thread(predictor.predict_clips, clips) if clips else []

    async def correct(self, request: Request) -> Response:
        page = self._page(request)
        heard = page.find(request.path_params["number"])
        emotion = (await read_json(request)).get("emotion")
        if emotion is not None:
            check_choice("emotion", emotion if isinstance(emotion, str) else repr(emotion), page.predictor.emotions)
            heard.emotion = page.predictor.emotions.index(emotion)
        else:
            heard.emotion = None
        return JSONResponse(answers.of_clip(heard, page.predictor.emotions))

    async def remove(self, request: Request) -> Response:
        page = self._page(request)
        del page.heard[page.find(request.path_params["number"]).id]
        return JSONResponse({})

    async def adaptation(self, request: Request) -> Response:
        page = self._page(request)
        adaptation = page.adaptation
        seconds = time.monotonic() - adaptation.started if adaptation.state == "running" else 0.0
        return JSONResponse({"state": adaptation.state, "said": adaptation.said, "seconds": round(seconds, 1)})

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
        support = support_with(page.loaded.model.support, labelled)
        page.adaptation.state, page.adaptation.said = "running", "Learning, and cross-validating"
        page.adaptation.started = time.monotonic()
        self._adapting = asyncio.create_task(self._adapt(page, support, len(labelled)))
        return JSONResponse({"state": "running"}, 202)

    async def _adapt(self, page: Page, support: Support, n_learned: int) -> None:
        adaptation = page.adaptation

        def say(line: str) -> None:
            adaptation.said = str(line)

        try:
            model = await in_thread(self._learn, page.loaded.model, support, say)
            predictor = Predictor(model)
            adaptation.said = "Predicting all clips anew"
            await self._see_again(page, predictor, keep=True)
            page.n_learned = n_learned
            adaptation.state, adaptation.said = "done", ""
        except InputError as error:
            adaptation.state, adaptation.said = "failed", str(error)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            adaptation.said = "Adapting failed; the terminal that runs metaser serve says why. The model is as before."
            adaptation.state = "failed"

    async def _see_again(self, page: Page, predictor: Predictor, *, keep: bool) -> None:
        seen: dict[str, Prediction] = {}
        # Clips may come while others are predicted.
        while new := [heard for heard in page.heard.values() if heard.id not in seen]:
            predicted = await self._predict(predictor, [heard.clip for heard in new])
            seen |= {heard.id: prediction for heard, prediction in zip(new, predicted, strict=True)}
        page.see_again(predictor, seen, keep=keep)

    async def go_back(self, request: Request) -> Response:
        page = self._page(request)
        if page.adaptation.state == "running":
            raise Refused(409, "This page is being adapted just now. Try again when that is done.")
        before = dataclasses.replace(page.adaptation)
        # Until it is done nothing else may begin.
        page.adaptation.state, page.adaptation.said = "running", "Predicting all clips anew"
        page.adaptation.started = time.monotonic()
        try:
            await self._see_again(page, page.loaded, keep=False)
        except BaseException:
            page.adaptation = before
            raise
        page.n_learned = 0
        page.adaptation.state, page.adaptation.said = "none", ""
        return JSONResponse(answers.of_page(page, self._name))

    async def download(self, request: Request) -> Response:
        page = self._page(request)
        data = await in_thread(_zipped, page.predictor.model)
        name = _clean(f"{answers.of_model(page.predictor.model, self._name)['name']}.zip").replace(" ", "_")
        disposition = f"attachment; filename*=UTF-8''{quote(name)}"
        return Response(data, media_type="application/zip", headers={"Content-Disposition": disposition})


def _zipped(model: Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="metaser_") as folder:
        save_model(Path(folder) / "model", model)
        return zip_model(Path(folder) / "model")


def _clean(name: str) -> str:
    """Return the last part of a path as people see it: no control characters, no slashes, not endless."""
    shown = "".join(c for c in name if unicodedata.category(c)[0] != "C")
    return shown.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()[-120:]


def _page_files() -> dict[str, Path]:
    files = {f"/{file.name}": file for file in sorted(_FOLDER.iterdir()) if file.suffix in _TYPES}
    return files | {"/": _FOLDER / "index.html"}


def _file(file: Path) -> Callable:
    data, kind = file.read_bytes(), _TYPES[file.suffix]

    async def answer(request: Request) -> Response:
        return Response(data, media_type=kind)

    return answer


async def _refused(request: Request, error: Refused) -> Response:
    return refusal(error)


async def _input_error(request: Request, error: InputError) -> Response:
    return refusal(Refused(422, str(error)))


async def _http_error(request: Request, error: HTTPException) -> Response:
    return refusal(Refused(error.status_code, f"{request.method} {request.url.path[:100]}: {error.detail}."))


async def _failed(request: Request, error: Exception) -> Response:
    # guard.py prints it.
    return refusal(FAILED)
