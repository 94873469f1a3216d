"""A page in the browser: record or drop clips, look at their emotions over time, correct them, adapt again, download.

The page is served at 127.0.0.1, which no other machine can reach; it needs no network and sends nothing anywhere. Its
recordings are kept in memory, as features, until metaser serve ends (Ctrl-C).

For a server elsewhere, bring its port here: ssh -L 8000:localhost:8000 SERVER, and open http://localhost:8000/; the
browser lets a page use the microphone at localhost, or over https, alone.
"""

import contextlib
import sys
from pathlib import Path

from metaser_jax.specs.commands import ServeConfig

# Processes that read uploads: the next file is read while one is slow, and memory stays bounded.
_READERS = 2


def main(config: ServeConfig, arguments: list[str]) -> None:
    """Serve the page until Ctrl-C or SIGTERM."""
    # Imported here: after a look at what was typed.
    from metaser_jax.serve.web import address_of, is_open_to_others, listen, serve

    # First, so that a port in use is said at once.
    with contextlib.closing(listen(config.host, config.port)) as listening:
        from metaser_jax.devices import parallel
        from metaser_jax.recogniser.licences import note_of_start
        from metaser_jax.recogniser.predictor import Predictor
        from metaser_jax.serve.app import Limits, make_app
        from metaser_jax.serve.reading import Readers

        predictor = Predictor.load(config.model)
        if bound := note_of_start(predictor.model):
            print(f"note: {config.model} is {bound}", file=sys.stderr)
        parallel.one_device_per_core()
        limits = Limits(
            max_upload=config.max_upload_mb * 2**20, max_seconds=config.max_seconds, max_clips=config.max_clips
        )
        readers = Readers(_READERS, config.time_limit, config.max_seconds, voice=predictor.voice)
        app = make_app(predictor, Path(config.model).resolve().name, limits, readers, config.host)
        if is_open_to_others(listening):
            print(
                f"warning: --host={config.host} lets everyone who can reach this machine use the page, send recordings "
                "and adapt; there is no password and no encryption. --host=127.0.0.1 and ssh -L are safer.",
                file=sys.stderr,
            )
        print(f"Serving {config.model} at {address_of(listening)} (Ctrl-C ends it)", flush=True)
        serve(app, listening)
