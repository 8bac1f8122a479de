"""grpc-js on either side of ours: its client is told when to stop, and its server when to come back is obeyed."""

import contextlib
import pathlib
import subprocess

from grpc_peer import Fault, calling_with_ours, serving
from rig import LOCAL, at_least, check, gateway, running

HERE = pathlib.Path(__file__).parent
UNAVAILABLE, RESOURCE_EXHAUSTED = 14, 8


def client(address, call):
    """The status that grpc-js sees of a call."""
    command = ["node", HERE / "grpc_js_client.js", address, call]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout)


@contextlib.contextmanager
def js_server():
    """A grpc-js server: its address, and a function that reads the next attempts."""
    with running("node", HERE / "grpc_js_server.js", stdout=subprocess.PIPE, text=True) as process:
        address = f"{LOCAL}:{int(process.stdout.readline())}"

        def attempts(count):
            lines = [process.stdout.readline().split() for _ in range(count)]
            return [previous for previous, _ in lines], [float(at) for _, at in lines]

        yield address, attempts


def its_client():
    """Behind the gateway, whose upstream is C-core's server."""
    scripts = {
        "comes back": [Fault(UNAVAILABLE, ("200",))],
        "stays away": [Fault(UNAVAILABLE)] * 9,
        "goes on": [Fault(UNAVAILABLE)] * 9,
    }
    with serving(scripts.get) as (server, address):
        with gateway(f"h2c://{address}") as front:
            check("grpc-js client: a pushback is waited for in the gateway: status 0", client(front, "comes back"), 0)
            seen = server.attempts("comes back")
            check("grpc-js client: two attempts", [attempt.previous for attempt in seen], ["none", "1"])
            at_least("grpc-js client: milliseconds between them", (seen[1].at - seen[0].at) * 1000, 200)

            check("grpc-js client: what goes on failing: status 14", client(front, "stays away"), UNAVAILABLE)
            seen = [attempt.previous for attempt in server.attempts("stays away")]
            check("grpc-js client: the gateway's three attempts, and none of its own", seen, ["none", "1", "2"])
        with gateway(f"h2c://{address}", options=["--retry", "1"]) as front:
            check("grpc-js client: a gateway that does not retry: status 14", client(front, "goes on"), UNAVAILABLE)
            seen = [attempt.previous for attempt in server.attempts("goes on")]
            check("grpc-js client: it is not told to stop", seen, ["none", "1", "2", "3", "4"])


def its_server():
    """Before our client."""
    rows = [
        ("1 14", ["none", "1"], 0, 0),
        ("2 14 100", ["none", "1", "2"], 0, 100),
        ("9 14", ["none", "1", "2"], UNAVAILABLE, 0),
        ("9 14 -1", ["none"], UNAVAILABLE, 0),
        ("9 14 soon", ["none"], UNAVAILABLE, 0),
        ("9 8", ["none"], RESOURCE_EXHAUSTED, 0),
        ("1 8 100", ["none", "1"], 0, 100),
        ("9 13", ["none"], 13, 0),
        ("0 14", ["none"], 0, 0),
    ]
    with js_server() as (address, attempts), calling_with_ours(address, max_tokens=1000, token_ratio=1) as call:
        for name, previous, status, wait in rows:
            check(f"grpc-js server: {name}: status {status}", call(name), status)
            seen, at = attempts(len(previous))
            check(f"grpc-js server: {name}: {len(previous)} attempts", seen, previous)
            if wait:
                at_least(f"grpc-js server: {name}: milliseconds", min(b - a for a, b in zip(at, at[1:])), wait)


its_client()
its_server()
