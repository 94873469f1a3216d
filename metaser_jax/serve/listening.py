"""The socket, and the end."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import sys

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from metaser_jax.errors import InputError


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
        raise InputError(
            f"Cannot listen at {host}, port {port} ({os.strerror(error.errno or 0)}). Another program may have it: "
            "take another --port, or --port=0 for a free one."
        ) from error


def address_of(listening: socket.socket) -> str:
    """Return http://127.0.0.1:8000/."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_open_to_others(listening: socket.socket) -> bool:
    """Return whether other machines can reach it."""
    return not ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


class _Timed(H11Protocol):
    """A connection that is ended if the headers of a request are not there in time: uvicorn waits for ever."""

    headers_seconds = 15.0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
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
        http=_Timed,
        ws="none",
        # Errors are printed by guard.py; requests are nobody's business.
        log_config=None,
        log_level="critical",
        access_log=False,
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
    sys.stderr.flush()
    os._exit(0)
