"""A Python server, and two ways to it: directly, and through two sidecars."""

from __future__ import annotations

import grpc
import pytest

import mesh as meshes
import server as echo


@pytest.fixture(scope="session")
def server():
    running = echo.EchoServer()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mesh(server):
    with meshes.in_front_of(server.address, "echo") as running:
        yield running


@pytest.fixture(scope="session")
def direct(server):
    with grpc.insecure_channel(server.address, options=echo.OPTIONS) as channel:
        yield channel


@pytest.fixture(scope="session")
def through(mesh):
    with grpc.insecure_channel(mesh["outbound"], options=echo.OPTIONS) as channel:
        yield channel
