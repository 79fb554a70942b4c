"""The calls of @grpc/grpc-js (js/calls.test.js), directly and through two sidecars."""

from __future__ import annotations

import os
import pathlib
import subprocess

JS = pathlib.Path(__file__).resolve().parent / "js"
LIMIT_S = 300


def test_calls_of_grpc_js_are_the_same_through_two_sidecars(server, mesh):
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=JS, check=True, timeout=LIMIT_S)
    environment = dict(os.environ, DIRECT=server.address, THROUGH=mesh["outbound"])
    ran = subprocess.run(["node", "--test"], cwd=JS, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# tests 0" not in ran.stdout
