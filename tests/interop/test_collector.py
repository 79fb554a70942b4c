"""Calls through two sidecars reach a collector that others wrote, and one that is away holds the ledger back by nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time

import grpc
import pytest

import collector as collectors
import mesh as meshes
import server as echo

UNARY = f"/{echo.SERVICE}/Unary"
# How long a record may take to be in the ledger on a loaded machine.
LEDGER_LIMIT_S = 30


@pytest.fixture(scope="module")
def program():
    return collectors.built()


@pytest.fixture(scope="module", params=["grpc", "http"])
def forwarding(request, program, server, tmp_path_factory):
    """A mesh whose control plane forwards to a collector: both, by this protocol."""
    collector = collectors.Collector(program, tmp_path_factory.mktemp(f"collector-{request.param}"))
    collector.start()
    forward = {"endpoint": collector.endpoint(request.param), "protocol": request.param, "timeoutS": 2}
    with meshes.in_front_of(server.address, "echo", {"ledger": {"forward": forward}}) as mesh:
        with grpc.insecure_channel(mesh["outbound"], options=echo.OPTIONS) as channel:
            yield collector, mesh, channel
    collector.stop()


def asked(channel, count: int, **options) -> list[str]:
    """The tracking IDs of so many calls that were answered."""
    calls = []
    for _ in range(count):
        _, call = channel.unary_unary(UNARY).with_call(b"twelve bytes", timeout=collectors.LIMIT_S, **options)
        calls.append(dict(call.initial_metadata())["chapar-call-id"])
    return calls


def wait_for_ledger(mesh: dict, calls: list[str]) -> None:
    """Returns once the ledger has both sides' accounts of each call."""
    chapar = meshes.ROOT / "target" / os.environ.get("CHAPAR_PROFILE", "debug") / "chapar"
    ends = time.monotonic() + LEDGER_LIMIT_S
    for call in calls:
        while True:
            command = [chapar, "--endpoint", mesh["endpoint"], "-o", "json", "trace", "list", "--call-id", call]
            found = subprocess.run(command, capture_output=True, text=True, check=False)
            traces = json.loads(found.stdout)["traces"] if found.returncode == 0 else []
            if traces and traces[0]["spans"] == 2:
                break
            assert time.monotonic() < ends, f"the call {call} is not in the ledger: {found.stdout} {found.stderr}"
            time.sleep(0.1)


def test_every_call_arrives_with_all_that_was_recorded(forwarding):
    collector, _, channel = forwarding
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    calls = asked(channel, 40)
    [traced] = asked(channel, 1, metadata=(("traceparent", f"00-{trace_id}-{parent}-01"),))
    accounts = collector.accounts([*calls, traced])
    for call, (consumers, providers) in accounts.items():
        for span, agency, kind in [(consumers, "asker", 3), (providers, "answerer", 2)]:
            told = span["attributes"]
            assert span["kind"] == kind
            assert span["name"] == UNARY[1:]
            assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"]) > 0
            assert told["chapar.call_id"] == call
            # As OpenTelemetry's semantic conventions name and type them.
            assert (told["rpc.system.name"], told["rpc.method"]) == ("grpc", UNARY[1:])
            assert told["rpc.response.status_code"] == "OK"
            for end in ("server", "network.peer"):
                assert told[f"{end}.address"] == "127.0.0.1"
                assert 0 < told[f"{end}.port"] < 65_536
            # As the law asks.
            assert (told["chapar.consumer"], told["chapar.provider"]) == ("asker", "answerer")
            assert (told["chapar.inquiry"], told["chapar.kind"]) == ("echo-unary", "data")
            assert (told["chapar.resolution"], told["chapar.clause"]) == ("test-1", "1")
            assert told["chapar.grant"]
            assert (told["chapar.decision"], told["chapar.outcome"]) == ("permitted", "served")
            assert told["chapar.policy_version"] > 0
            for way in ("request", "response"):
                assert (told[f"chapar.{way}.messages"], told[f"chapar.{way}.bytes"]) == (1, 5 + len("twelve bytes"))
            assert len(told["chapar.chain.id"]) == 32
            assert told["chapar.chain.sequence"] > 0
            # Who reported it.
            resource = span["resource"]
            assert resource["service.name"] == "chapar-sidecar"
            assert resource["service.namespace"] == agency
            assert resource["chapar.sidecar"] == f"spiffe://exchange.example/agency/{agency}/sidecar/main"
        assert providers["traceId"] == consumers["traceId"]
        assert providers["parentSpanId"] == consumers["spanId"]
    consumers, _ = accounts[traced]
    assert (consumers["traceId"], consumers["parentSpanId"]) == (trace_id, parent)


def test_a_refused_call_arrives_with_its_reason(forwarding):
    collector, _, channel = forwarding
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(f"/{echo.SERVICE}/Nothing")(b"", timeout=collectors.LIMIT_S)
    [call] = [value for key, value in refused.value.trailing_metadata() if key == "chapar-call-id"]
    ends = time.monotonic() + collectors.LIMIT_S
    while not (found := [span for span in collector.spans() if span["attributes"].get("chapar.call_id") == call]):
        assert time.monotonic() < ends, "the refused call did not reach the collector"
        time.sleep(0.2)
    told = found[0]["attributes"]
    assert (told["chapar.decision"], told["chapar.outcome"], told["chapar.side"]) == ("refused", "refused", "consumer")
    assert told["chapar.reason"] == found[0]["status"]["message"] != ""
    assert found[0]["status"]["code"] == 2


def test_a_collector_that_stands_still_holds_nothing_back(forwarding):
    collector, mesh, channel = forwarding
    collector.freeze()
    try:
        calls = asked(channel, 60)
        wait_for_ledger(mesh, calls)
        taken = {span["attributes"].get("chapar.call_id") for span in collector.spans()}
        assert taken.isdisjoint(calls)
    finally:
        collector.thaw()
    collector.accounts(calls)


def test_a_collector_that_is_away_gets_everything_when_it_is_back(forwarding):
    collector, mesh, channel = forwarding
    collector.stop()
    calls = asked(channel, 60)
    wait_for_ledger(mesh, calls)
    collector.start()
    collector.accounts(calls)
