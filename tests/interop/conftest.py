"""A Python server, and two ways to it: directly, and through two sidecars."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import grpc
import pytest

import server as echo

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def server():
    running = echo.EchoServer()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mesh(server):
    program = ROOT / "target" / os.environ.get("CHAPAR_PROFILE", "debug") / "mesh-in-front-of"
    environment = dict(os.environ, CHAPAR_BINARIES_ARE_BUILT="1")
    process = subprocess.Popen(
        [program, server.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )
    line = process.stdout.readline()
    assert line, f"the mesh did not come up (exit code {process.wait()}); its complaint is above"
    yield json.loads(line)
    process.stdin.close()
    process.wait(timeout=60)


@pytest.fixture(scope="session")
def direct(server):
    with grpc.insecure_channel(server.address, options=echo.OPTIONS) as channel:
        yield channel


@pytest.fixture(scope="session")
def through(mesh):
    with grpc.insecure_channel(mesh["outbound"], options=echo.OPTIONS) as channel:
        yield channel
