"""Who may ask, and how everything is answered.

A server at localhost can be reached by any web page that its user opens elsewhere: by a name that the page's owner lets
point to 127.0.0.1 (DNS rebinding; such a request says that name in Host), or by plain requests across origins (which
say their own in Origin). Both are refused. https://owasp.org/www-community/attacks/csrf
"""

import ipaddress
import socket
import sys
import traceback

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metaser_jax.serve.refused import Refused

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

FAILED = Refused(500, "Something went wrong here; the terminal that runs metaser serve says what.")


class Guard:
    """ASGI middleware around the whole application: Host, Origin, headers, and an answer to every exception."""

    def __init__(self, app: ASGIApp, host: str):
        self._app = app
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it before it reaches the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._check(Headers(scope=scope))
            await self._app(scope, receive, guarded)
        except ClientDisconnect:
            return
        except Exception as error:
            if not isinstance(error, Refused):
                traceback.print_exc(file=sys.stderr)
                error = FAILED
            if not started:
                await refusal(error)(scope, receive, guarded)

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise Refused(
                403, f"This address is not served here: {host[:100]!r}. Open the one that the terminal shows."
            )
        origin = headers.get("origin")
        # Behind a proxy that speaks TLS the scheme is another; the name and port are the same.
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise Refused(403, "A page of another site asked; only the page of this server may.")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Refused(403, "A page of another site asked; only the page of this server may.")

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        if ":" in name.rpartition("]")[2]:
            name = name.rpartition(":")[0]
        # A name can be made to point here, a number cannot.
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in self._names
        return True


def refusal(error: Refused) -> JSONResponse:
    """Return {"error": message}."""
    return JSONResponse({"error": error.message}, error.status)
