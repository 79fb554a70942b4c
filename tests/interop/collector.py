"""The public OpenTelemetry collector, as a process that writes what it takes to a file."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import time

import mesh as meshes

# How long something may take on a loaded machine before it counts as not happening.
LIMIT_S = 60


def built() -> pathlib.Path:
    """The collector's program; built the first time."""
    build = meshes.ROOT / "tests" / "collector" / "build"
    done = subprocess.run([build], capture_output=True, text=True, timeout=1_800, check=False)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


class Collector:
    """Takes OTLP by gRPC and by HTTP on ports of its own, which stay the same when it is started again."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path) -> None:
        self._program = program
        self._log = (folder / "log").open("a")
        self._spans = folder / "spans.json"
        self._config = folder / "config.yaml"
        self._process: subprocess.Popen | None = None
        self.ports = {"grpc": meshes.free_port(), "http": meshes.free_port()}
        listen = {name: {"endpoint": f"127.0.0.1:{port}"} for name, port in self.ports.items()}
        # JSON is YAML.
        config = {
            "receivers": {"otlp": {"protocols": listen}},
            "exporters": {"file": {"path": str(self._spans), "append": True, "flush_interval": "100ms"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        }
        self._config.write_text(json.dumps(config))

    def endpoint(self, protocol: str) -> str:
        return f"http://127.0.0.1:{self.ports[protocol]}"

    def start(self) -> None:
        command = [self._program, "--config", f"file:{self._config}"]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        for port in self.ports.values():
            meshes.wait_for_port(port)

    def stop(self) -> None:
        """SIGTERM: it writes what it took. After `kill -9` its file would end in half a line."""
        self._process.terminate()
        self._process.wait(timeout=LIMIT_S)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def spans(self) -> list[dict]:
        """What it wrote: each span with its attributes as a dict, and its resource's as "resource"."""
        if not self._spans.exists():
            return []
        found = []
        for line in self._spans.read_text().splitlines():
            if not line.endswith("}"):
                continue
            for resource in json.loads(line)["resourceSpans"]:
                origin = plain(resource["resource"]["attributes"])
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        found.append(span | {"attributes": plain(span["attributes"]), "resource": origin})
        return found

    def accounts(self, calls: list[str]) -> dict[str, list[dict]]:
        """Waits until it has both sides' accounts of each of these calls; those of each call, the consumer's first."""
        ends = time.monotonic() + LIMIT_S
        while True:
            accounts: dict[str, dict[str, dict]] = {call: {} for call in calls}
            for span in self.spans():
                told = span["attributes"]
                if told.get("chapar.call_id") in accounts:
                    accounts[told["chapar.call_id"]][told["chapar.side"]] = span
            if all(len(sides) == 2 for sides in accounts.values()):
                return {call: [sides["consumer"], sides["provider"]] for call, sides in accounts.items()}
            lacking = [call for call, sides in accounts.items() if len(sides) < 2]
            assert time.monotonic() < ends, f"{len(lacking)} of {len(calls)} calls did not reach the collector whole: {lacking[:3]}"
            time.sleep(0.2)


def plain(attributes: list[dict]) -> dict[str, str | int]:
    """OTLP's JSON writes 64-bit numbers as text."""

    def value(told: dict) -> str | int:
        return int(told["intValue"]) if "intValue" in told else told["stringValue"]

    return {attribute["key"]: value(attribute["value"]) for attribute in attributes}
