"""An echo server on Python's own gRPC stack, with raw bytes for messages.

It answers on the paths of chapar.test.v1.EchoService, and does as the request's metadata says, so that the same call can be
made directly and through two sidecars, and compared byte for byte.
"""

from __future__ import annotations

import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

SERVICE = "chapar.test.v1.EchoService"
MESSAGE_BYTES_MAX = 128 << 20
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
]


def details() -> bytes:
    """A google.rpc.Status that no sidecar made."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="NOT_IN_REGISTER", domain="register.example", metadata={"a": "b"}))
    return status_pb2.Status(code=5, message="no such person: شخص", details=[info]).SerializeToString()


class EchoServer:
    """Runs on a free port of loopback until stopped."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.remaining: list[float | None] = []
        self.seen: list[list[tuple[str, str | bytes]]] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(32), options=OPTIONS)
        self._server.add_generic_rpc_handlers([self._handlers()])
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None)

    def _handlers(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
                "ClientStream": grpc.stream_unary_rpc_method_handler(self._client_stream),
                "ServerStream": grpc.unary_stream_rpc_method_handler(self._server_stream),
                "BidiStream": grpc.stream_stream_rpc_method_handler(self._bidi_stream),
            },
        )

    def _begin(self, context: grpc.ServicerContext) -> dict[str, str | bytes]:
        metadata = [(pair.key, pair.value) for pair in context.invocation_metadata()]
        self.seen.append(metadata)
        self.remaining.append(context.time_remaining())
        asked = dict(metadata)
        if "ask-compression" in asked:
            context.set_compression(grpc.Compression.Gzip)
        context.send_initial_metadata(
            [("initial-text", "one"), ("initial-text", "two"), ("initial-bin", bytes(range(256)))]
        )
        context.set_trailing_metadata([("trailing-text", "end"), ("trailing-bin", b"\x00\xff\x00")])
        if "ask-status" in asked:
            context.set_trailing_metadata(
                [("trailing-bin", b"\x00\xff\x00"), ("grpc-status-details-bin", details())]
            )
            context.abort(grpc.StatusCode.NOT_FOUND, "no such person: شخص\n100%")
        return asked

    def _wait(self, context: grpc.ServicerContext, seconds: float) -> None:
        done = threading.Event()
        if not context.add_callback(done.set):
            done.set()
        if done.wait(seconds):
            self.cancelled.set()

    def _unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = self._begin(context)
        if "ask-wait" in asked:
            self._wait(context, float(asked["ask-wait"]))
        if "ask-bytes" in asked:
            return filler(int(asked["ask-bytes"]))
        return request

    def _client_stream(self, requests, context: grpc.ServicerContext) -> bytes:
        self._begin(context)
        return b"".join(requests)

    def _server_stream(self, request: bytes, context: grpc.ServicerContext):
        asked = self._begin(context)
        count = int(asked.get("ask-count", "3"))
        for number in range(count):
            yield request + number.to_bytes(4, "big")
        if "ask-endless" in asked:
            # What stands behind a `yield` is not run when the call is cancelled while its message is sent.
            if not context.add_callback(self.cancelled.set):
                self.cancelled.set()
            while context.is_active():
                yield request
                time.sleep(0.01)

    def _bidi_stream(self, requests, context: grpc.ServicerContext):
        self._begin(context)
        for request in requests:
            yield request


def filler(size: int) -> bytes:
    """Bytes that do not repeat with any power of two, so that a shifted or repeated chunk is noticed."""
    block = bytes(number % 251 for number in range(251 * 64))
    return (block * (size // len(block) + 1))[:size]
