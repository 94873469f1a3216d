"""The body of a request: its bytes as they are (no multipart), within limits of size and time."""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from metaser_jax.serve.refused import Refused

# Between two pieces, and for all of them: the way to the server may be an ssh tunnel over a slow line.
PAUSE = 15.0
IN_ALL = 300.0
_JSON_BYTES = 4096


async def read_body(request: Request, limit: int, pause: float = PAUSE, in_all: float = IN_ALL) -> bytes:
    """Return the body, of at most `limit` bytes; of what is longer no more than that is kept.

    Raises:
      Refused: 413 longer than the limit; 408 no piece came for `pause` seconds, or not all within `in_all`; 400 the
        connection ended before the length that was promised.
    """
    promised = request.headers.get("content-length", "")
    if promised.isascii() and promised.isdigit() and int(promised) > limit:
        raise _too_large(limit)
    body = bytearray()
    pieces = aiter(request.stream())
    try:
        async with asyncio.timeout(in_all):
            while True:
                try:
                    piece = await asyncio.wait_for(anext(pieces), pause)
                except StopAsyncIteration:
                    return bytes(body)
                body += piece
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise Refused(408, "The upload stopped or was too slow. Try again.") from error
    except ClientDisconnect as error:
        raise Refused(400, "The upload broke off. Try again.") from error


async def read_json(request: Request) -> dict[str, Any]:
    """Return a small JSON object. Raises Refused as read_body does, and 400 for anything else."""
    try:
        value = json.loads(await read_body(request, _JSON_BYTES))
    # Brackets in brackets without end are a RecursionError.
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The request is not JSON.") from error
    if not isinstance(value, dict):
        raise Refused(400, "The request is not a JSON object.")
    return value


def _too_large(limit: int) -> Refused:
    return Refused(413, f"Larger than {limit / 2**20:,.0f} MiB. Cut it into shorter recordings, or send mp3 or flac.")
