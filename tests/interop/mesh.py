"""A mesh of real processes in front of a server of any language."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def in_front_of(address: str, service: str, control_plane: dict | None = None) -> Iterator[dict]:
    """A control plane and two sidecars, the provider's with `service` at `address` behind it; `control_plane` is laid over the
    control plane's configuration."""
    program = ROOT / "target" / os.environ.get("CHAPAR_PROFILE", "debug") / "mesh-in-front-of"
    environment = dict(os.environ, CHAPAR_BINARIES_ARE_BUILT="1")
    command = [program, address, service, json.dumps(control_plane or {})]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
    line = process.stdout.readline()
    assert line, f"the mesh did not come up (exit code {process.wait()}); its complaint is above"
    try:
        yield json.loads(line)
    finally:
        process.stdin.close()
        process.wait(timeout=60)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for_port(port: int, limit_s: float = 30) -> None:
    """Returns once somebody listens on `port`."""
    ends = time.monotonic() + limit_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
