"""Calculations beside the event loop, in threads that nobody waits for at the end."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Return function(*args) in a thread of its own; what it raises is raised here.

    A daemon, unlike asyncio's own threads: Ctrl-C does not wait until an adaptation is done.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def tell(value: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def work() -> None:
        value, error = None, None
        try:
            value = function(*args)
        except BaseException as raised:
            error = raised
        # Where the server has ended meanwhile, there is no loop to tell.
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, value, error)

    threading.Thread(target=work, daemon=True).start()
    return await done
