"""HTTP below the application: who may ask, bodies within limits, an answer to every error, the socket and the end.

A server at localhost can be reached by any web page that its user opens elsewhere: by a name that the page's owner lets
point to 127.0.0.1 (DNS rebinding; such a request says that name in Host), or by plain requests across origins (which
say their own in Origin). Both are refused. https://owasp.org/www-community/attacks/csrf
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
import sys
import traceback
from typing import Any

import h11
import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from metaser_jax.errors import InputError

# Seconds, between two pieces, and for all of them: the way to the server may be an ssh tunnel over a slow line.
PAUSE = 15.0
IN_ALL = 300.0
_JSON_BYTES = 4096
_HEADERS = {
    # Nothing is loaded from elsewhere; blob: are the clips that the browser itself holds.
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # The page too: after an update of the package, old JavaScript would talk to a new server.
    "Cache-Control": "no-store",
}


class Refused(HTTPException):
    """An error of a request. Attributes: status_code; detail, for the person at the page: what to do."""


def refusal(error: Refused) -> JSONResponse:
    """Return {"error": message}."""
    return JSONResponse({"error": error.detail}, error.status_code)


class Guard:
    """ASGI middleware around the whole application: Host, Origin, headers, and printed exceptions."""

    def __init__(self, app: ASGIApp, host: str):
        self._app = app
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it before it reaches the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._check(Headers(scope=scope))
            await self._app(scope, receive, guarded)
        except Refused as error:
            await refusal(error)(scope, receive, guarded)
        except ClientDisconnect:
            return
        except Exception:  # the application has answered, and raised it again
            traceback.print_exc(file=sys.stderr)

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        if not self._is_ours(host):
            said = f"This address is not served here: {host[:100]!r}. Open the one that the terminal shows."
            raise Refused(403, said)
        origin = headers.get("origin")
        # Behind a proxy that speaks TLS the scheme is another; the name and port are the same.
        elsewhere = origin is not None and origin.partition("://")[2].lower() != host
        if elsewhere or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Refused(403, "A page of another site asked; only the page of this server may.")

    def _is_ours(self, name: str) -> bool:
        name = name.rpartition(":")[0] if ":" in name.rpartition("]")[2] else name
        # A name can be made to point here, a number cannot.
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in self._names
        return True


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body as it is (no multipart), of at most `limit` bytes; of what is longer no more than that is kept.

    Raises:
      Refused: 413 longer than the limit; 408 no piece came for PAUSE seconds, or not all within IN_ALL; 400 the
        connection ended before the length that was promised.
    """
    said = f"Larger than {limit / 2**20:,.0f} MiB. Cut it into shorter recordings, or send mp3 or flac."
    too_large = Refused(413, said)
    if int(request.headers.get("content-length", 0)) > limit:  # h11 has seen that it is a number
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(IN_ALL), asyncio.timeout(PAUSE) as pause:
            async for piece in request.stream():
                pause.reschedule(asyncio.get_running_loop().time() + PAUSE)
                body += piece
                if len(body) > limit:
                    raise too_large
        return bytes(body)
    except TimeoutError as error:
        raise Refused(408, "The upload stopped or was too slow. Try again.") from error
    except ClientDisconnect as error:
        raise Refused(400, "The upload broke off. Try again.") from error


async def read_json(request: Request) -> dict[str, Any]:
    """Return a small JSON object. Raises Refused as read_body does, and 400 for anything else."""
    value = None
    # Brackets in brackets without end are a RecursionError.
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(await read_body(request, _JSON_BYTES))
    if not isinstance(value, dict):
        raise Refused(400, "The request is not a JSON object.")
    return value


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at the address; port 0 takes a free one.

    Raises:
      InputError: the port is in use or not allowed, or the host is not one of this machine.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"--port: got {port}, expected 0 (a free one) to {2**16 - 1}.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host: {host!r} is not known ({error}), expected an address of this machine.") from error
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        said = f"Cannot listen at {host}, port {port} ({os.strerror(error.errno or 0)})"
        raise InputError(f"{said}: take another --port, or --port=0 for a free one.") from error


def address_of(listening: socket.socket) -> str:
    """Return http://127.0.0.1:8000/."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_open_to_others(listening: socket.socket) -> bool:
    """Return whether other machines can reach it."""
    return not ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


class TimedProtocol(H11Protocol):
    """A connection that is ended if the headers of a request are not there in time: uvicorn waits for ever."""

    headers_seconds = 15.0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on, or no longer."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, so that nothing keeps what is closed."""
        super().connection_lost(exc)
        self._stop()

    def _wait(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._late is None:  # further pieces give no further time
            self._late = self.loop.call_later(self.headers_seconds, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return a server of the application, that prints nothing."""
    config = uvicorn.Config(
        app,
        # What is in Python alone is the same everywhere.
        loop="asyncio",
        http=TimedProtocol,
        ws="none",
        # Guard prints errors; requests are nobody's business.
        log_config=None,
        log_level="critical",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer until Ctrl-C or SIGTERM, and then end the process at once.

    An adaptation may be under way in a thread, which cannot be stopped and would crash in the interpreter's end.
    """
    with contextlib.suppress(KeyboardInterrupt):
        server_of(app).run(sockets=[listening])
    print("Ended.", file=sys.stderr)
    sys.stdout.flush()
    os._exit(0)
