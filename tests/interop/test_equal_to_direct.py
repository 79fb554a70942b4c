"""A call through two sidecars is, byte for byte, the call made directly."""

from __future__ import annotations

import threading
import time

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import server as echo

LIMIT_S = 60


def path(method: str) -> str:
    return f"/{echo.SERVICE}/{method}"


def plain(metadata) -> list[tuple[str, str | bytes]]:
    """Metadata without what the exchange adds."""
    return [(key, value) for key, value in metadata or () if not key.startswith("chapar-")]


def outcome(call, answers) -> dict:
    return {
        "answers": answers,
        "code": call.code(),
        "details": call.details(),
        "initial": plain(call.initial_metadata()),
        "trailing": plain(call.trailing_metadata()),
    }


def unary(channel, request: bytes, **options) -> dict:
    try:
        answer, call = channel.unary_unary(path("Unary")).with_call(request, timeout=LIMIT_S, **options)
        return outcome(call, [answer])
    except grpc.RpcError as error:
        return outcome(error, [])


def client_stream(channel, requests: list[bytes], **options) -> dict:
    answer, call = channel.stream_unary(path("ClientStream")).with_call(iter(requests), timeout=LIMIT_S, **options)
    return outcome(call, [answer])


def server_stream(channel, request: bytes, **options) -> dict:
    call = channel.unary_stream(path("ServerStream"))(request, timeout=LIMIT_S, **options)
    return outcome(call, list(call))


def bidi_stream(channel, requests: list[bytes], **options) -> dict:
    call = channel.stream_stream(path("BidiStream"))(iter(requests), timeout=LIMIT_S, **options)
    return outcome(call, list(call))


METADATA = (("ask-text", "a"), ("ask-text", "b"), ("ask-bin", bytes(range(255, -1, -1))), ("ask-empty-bin", b""))


def test_unary(direct, through):
    assert unary(through, b"name", metadata=METADATA) == unary(direct, b"name", metadata=METADATA)


def test_client_stream(direct, through):
    requests = [b"a" * size for size in (0, 1, 5, 16_384, 100_000)]
    assert client_stream(through, requests) == client_stream(direct, requests)


def test_server_stream(direct, through):
    asked = (("ask-count", "100"),)
    assert server_stream(through, b"x", metadata=asked) == server_stream(direct, b"x", metadata=asked)


def test_bidi_stream(direct, through):
    requests = [b"m%d" % number for number in range(100)]
    assert bidi_stream(through, requests) == bidi_stream(direct, requests)


def test_empty_messages(direct, through):
    assert unary(through, b"") == unary(direct, b"")
    assert bidi_stream(through, [b"", b""]) == bidi_stream(direct, [b"", b""])
    assert bidi_stream(through, []) == bidi_stream(direct, [])


@pytest.mark.parametrize("size", [65_535 - 5, 65_535, 65_536, 65_537, 4 << 20, 64 << 20])
def test_large_messages(direct, through, size):
    request = echo.filler(size)
    assert unary(through, request) == unary(direct, request)
    asked = (("ask-bytes", str(size)),)
    assert unary(through, b"", metadata=asked) == unary(direct, b"", metadata=asked)


def test_ten_thousand_messages_on_one_stream(direct, through):
    requests = [number.to_bytes(4, "big") * 25 for number in range(10_000)]
    assert bidi_stream(through, requests) == bidi_stream(direct, requests)


def test_compression(direct, through):
    request = b"aaaa" * 10_000
    asked = (("ask-compression", "gzip"),)
    by_sidecars = unary(through, request, metadata=asked, compression=grpc.Compression.Gzip)
    assert by_sidecars == unary(direct, request, metadata=asked, compression=grpc.Compression.Gzip)


def test_status_with_details(direct, through):
    asked = (("ask-status", "NOT_FOUND"),)
    by_sidecars = unary(through, b"x", metadata=asked)
    assert by_sidecars == unary(direct, b"x", metadata=asked)
    assert by_sidecars["code"] == grpc.StatusCode.NOT_FOUND
    status = status_pb2.Status.FromString(dict(by_sidecars["trailing"])["grpc-status-details-bin"])
    assert status.details[0].Is(error_details_pb2.ErrorInfo.DESCRIPTOR)


def test_request_metadata_arrives_as_sent(server, direct, through):
    unary(direct, b"", metadata=METADATA)
    sent_directly = server.seen[-1]
    unary(through, b"", metadata=(*METADATA, ("chapar-consumer", "forged"), ("chapar-forged-bin", b"1")))
    sent_through = server.seen[-1]
    told = {key: value for key, value in sent_through if key.startswith("chapar-")}
    assert len(told.pop("chapar-call-id")) == 32
    assert told == {"chapar-consumer": "asker", "chapar-inquiry": "echo-unary", "chapar-resolution": "test-1"}
    added = {"traceparent"}
    assert [pair for pair in plain(sent_through) if pair[0] not in added] == sent_directly


def test_the_deadline_reaches_the_server(server, direct, through):
    # The client rounds what it sends up to a tenth of a second, now down and now up for the same 30 s.
    for channel in (direct, through):
        channel.unary_unary(path("Unary"))(b"", timeout=30)
        assert 25 < server.remaining[-1] <= 30.1


@pytest.mark.parametrize("way", ["direct", "through"])
def test_deadline_is_kept(server, request, way):
    channel = request.getfixturevalue(way)
    server.cancelled.clear()
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(path("Unary"))(b"", timeout=0.5, metadata=(("ask-wait", "30"),))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.cancelled.wait(10), "the server did not learn that the deadline had passed"


@pytest.mark.parametrize("way", ["direct", "through"])
def test_cancellation_of_a_unary_call_reaches_the_server(server, request, way):
    channel = request.getfixturevalue(way)
    server.cancelled.clear()
    seen = len(server.seen)
    call = channel.unary_unary(path("Unary")).future(b"", timeout=LIMIT_S, metadata=(("ask-wait", "30"),))
    ends = time.monotonic() + 10
    while len(server.seen) == seen and time.monotonic() < ends:
        threading.Event().wait(0.01)
    call.cancel()
    assert server.cancelled.wait(10)
    assert call.code() == grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("way", ["direct", "through"])
def test_cancellation_of_a_stream_reaches_the_server(server, request, way):
    channel = request.getfixturevalue(way)
    server.cancelled.clear()
    call = channel.unary_stream(path("ServerStream"))(b"x", timeout=LIMIT_S, metadata=(("ask-endless", "1"),))
    for _ in range(10):
        next(call)
    call.cancel()
    assert server.cancelled.wait(10)


def test_a_refusal_is_a_status_that_python_understands(through):
    with pytest.raises(grpc.RpcError) as caught:
        through.unary_unary(path("Unlisted"))(b"", timeout=LIMIT_S)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    trailing = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("chapar", "UNKNOWN_INQUIRY")
    assert trailing["chapar-call-id"]


def test_every_call_has_an_id_of_its_own(through):
    ids = set()
    for _ in range(3):
        _, call = through.unary_unary(path("Unary")).with_call(b"", timeout=LIMIT_S)
        ids.add(dict(call.initial_metadata())["chapar-call-id"])
    assert len(ids) == 3
