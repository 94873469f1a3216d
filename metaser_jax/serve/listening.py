"""The socket, and the end."""

import contextlib
import ipaddress
import os
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

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


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return a server of the application, that prints nothing."""
    config = uvicorn.Config(
        app,
        # What is in Python alone is the same everywhere.
        loop="asyncio",
        http="h11",
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
