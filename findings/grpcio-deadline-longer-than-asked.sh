#!/usr/bin/env bash
# grpcio 1.85.1 (Python): a server can be told a longer deadline than the caller asked for, by up to a third of a percent.
#
# gRPC over HTTP/2 carries the time that is left in `grpc-timeout`. One would expect the server to see at most what the caller set, less
# what has passed on the way. This client rounds the time that is left up to a coarse step before it sends it: of calls with timeout=30
# most arrive with more than 30 s left, up to 30.1 s, and some with just under 30 s. Two equal calls can therefore differ by a tenth of a
# second, so a proxy's test must not take what a direct call sent as the bound for the next one; and a server that holds work until its
# deadline holds it longer than the caller waits.
#
# Seen on Linux x86-64, Python 3.11, 300 calls each, the longest time left on arrival:
#   timeout=5: above 5 s, below 5.02 s     timeout=30: above 30.05 s, at most 30.1 s
#
# Needs python3 with venv. Ends with 0 while this is so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
"$folder/venv/bin/python" - <<'PYTHON'
import concurrent.futures
import sys

import grpc

left = []


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        def answer(request, context):
            left.append(context.time_remaining())
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Echo(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/a.B/C")
longest = {}
for timeout_s in (5, 30):
    left.clear()
    for _ in range(300):
        call(b"", timeout=timeout_s)
    longest[timeout_s] = max(left)
    print(f"timeout={timeout_s}: {min(left):.4f} to {max(left):.4f} s left on arrival")
server.stop(None)
as_found = 5 < longest[5] < 5.02 and 30.05 < longest[30] <= 30.1
sys.exit(0 if as_found else 1)
PYTHON
