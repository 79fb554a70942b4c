"""gRPC's own interoperability tests: the client and the server of grpc-go, through two sidecars."""

from __future__ import annotations

import os
import subprocess

import pytest

import mesh as meshes

GRPC_GO = "v1.85.0"
LIMIT_S = 120
# Every case of grpc-go's client but those that want Google's credentials or test the client's own load balancing and metrics.
CASES = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
]


@pytest.fixture(scope="session")
def programs():
    """grpc-go's interoperability client and server, built as their module says."""
    folder = meshes.ROOT / "target" / f"grpc-go-{GRPC_GO}"
    packages = [f"google.golang.org/grpc/interop/{name}@{GRPC_GO}" for name in ("client", "server")]
    if not all((folder / name).exists() for name in ("client", "server")):
        environment = dict(os.environ, GOBIN=str(folder), GOFLAGS="-mod=mod")
        subprocess.run(["go", "install", *packages], cwd="/", env=environment, check=True, timeout=900)
    return folder


@pytest.fixture(scope="session")
def interop_server(programs, tmp_path_factory):
    log = (tmp_path_factory.mktemp("grpc-go") / "server.log").open("w+")
    port = meshes.free_port()
    process = subprocess.Popen([programs / "server", f"-port={port}"], stdout=log, stderr=log)
    meshes.wait_for_port(port)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def interop_mesh(interop_server):
    with meshes.in_front_of(interop_server, "grpc-interop") as running:
        yield running["outbound"]


def run(programs, address: str, case: str) -> subprocess.CompletedProcess:
    host, port = address.rsplit(":", 1)
    command = [programs / "client", f"-server_host={host}", f"-server_port={port}", f"-test_case={case}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.mark.parametrize("case", CASES)
def test_passes_through_two_sidecars_as_it_does_directly(programs, interop_server, interop_mesh, case):
    direct = run(programs, interop_server, case)
    assert direct.returncode == 0, f"grpc-go alone fails its own case: {direct.stderr}"
    through = run(programs, interop_mesh, case)
    assert through.returncode == 0, through.stderr


def test_a_client_that_expects_another_answer_fails(programs, interop_mesh):
    """That these tests can fail: a case that the server does not serve is told by the client's exit code."""
    assert run(programs, interop_mesh, "orca_per_rpc").returncode != 0
