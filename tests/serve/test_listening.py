"""The address, and the whole command as typed."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from fakes import fake_model

from metaser_jax.commands.models import serve
from metaser_jax.errors import InputError
from metaser_jax.recogniser.folder import save_model
from metaser_jax.serve.web import address_of, is_open_to_others, listen
from metaser_jax.specs.commands import ServeConfig


def test_a_free_port():
    with contextlib.closing(listen("127.0.0.1", 0)) as listening:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address_of(listening))
        assert not is_open_to_others(listening)
        with pytest.raises(InputError, match=r"take another --port"):
            listen("127.0.0.1", listening.getsockname()[1])


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port):
    with pytest.raises(InputError, match="expected 0"):
        listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "a" * 300])
def test_a_host_that_is_not_here(host):
    with pytest.raises(InputError, match=host[:10]):
        listen(host, 0)


def test_all_addresses_are_open_to_others():
    with contextlib.closing(listen("0.0.0.0", 0)) as listening:
        assert is_open_to_others(listening)


PROGRAM = "import sys; from metaser_jax.commands import main; sys.argv[0] = 'metaser'; main()"


def command(*flags: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "serve", *flags]


def test_as_typed(tmp_path):
    save_model(tmp_path / "model", fake_model())
    started = subprocess.Popen(
        command(f"--model={tmp_path}/model", "--port=0", "--host=0.0.0.0"),
        env=os.environ | {"METASER_CACHE": "off"},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )
    try:
        said = started.stdout.readline()
        port = int(re.search(r"http://0\.0\.0\.0:(\d+)/", said)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
        second = subprocess.run(
            command(f"--model={tmp_path}/model", f"--port={port}"), capture_output=True, text=True, timeout=60
        )
        assert second.returncode == 2
        assert "take another --port" in second.stderr
    finally:
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=30)
    assert started.returncode == 0, errors
    assert errors.startswith("warning: --host=0.0.0.0 lets everyone")
    assert errors.endswith("Ended.\n")
    assert "Traceback" not in errors
    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.1)
    else:
        pytest.fail("it still listens")


def test_no_model(tmp_path):
    config = ServeConfig(model=f"{tmp_path}/none", port=0)
    with pytest.raises(InputError, match="none"):
        serve(config, [])


@pytest.mark.parametrize("flag", ["max_upload_mb", "max_clips", "max_seconds", "time_limit"])
def test_limits_that_are_none(flag):
    with pytest.raises(InputError, match=f"--{flag}: got 0"):
        ServeConfig(model="model", **{flag: 0})
