"""What the checks stand on: processes that end with the check that started them, and a line for each thing that holds."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

LOCAL = "127.0.0.1"


def check(what, seen, wanted=True):
    """Says that `what` holds, or what was seen instead: and then nothing further is checked."""
    if seen != wanted:
        sys.exit(f"FAILED {what}\n  seen:   {seen}\n  wanted: {wanted}")
    print(f"ok {what}", flush=True)


def at_least(what, seen, least):
    """The same of a number, of which more is as good: a wait, on a machine of any speed."""
    check(f"{what}: {least:g} at least", seen, max(seen, least))


def at_most(what, seen, most):
    """The same of a number, of which less is as good."""
    check(f"{what}: {seen:g}, {most:g} at most", seen, min(seen, most))


def free_port():
    """A port for a server that cannot choose one by itself."""
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


def until_listening(port, process):
    """Waits until somebody accepts connections there."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"FAILED to start {process.args[0]}: it ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((LOCAL, port), 1):
            return
        time.sleep(0.02)
    sys.exit(f"FAILED to start {process.args[0]}: nobody listens on port {port}")


@contextlib.contextmanager
def running(*command, **options):
    """A process, for as long as the block lasts."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def gateway(*upstreams, options=()):
    """The gateway before these upstreams, with nothing but its retries to be seen. Gives its address."""
    command = [os.environ["GATEWAY"], "--listen", f"{LOCAL}:0", "--admin", f"{LOCAL}:0", "--limit", "off", *options]
    for url in upstreams:
        command += ["--upstream", url]
    with running(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        prefix = "listening on http://"
        for line in process.stdout:
            if line.startswith(prefix):
                yield line.removeprefix(prefix).strip()
                return
        sys.exit("FAILED to start the gateway")


@dataclass
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: dict
    body: bytes
    seconds: float


def send(connection, method, path="/", body=None, headers=None):
    """Sends a request over this connection, or to this address over one of its own."""
    if isinstance(connection, str):
        with contextlib.closing(http.client.HTTPConnection(connection, timeout=20)) as own:
            return send(own, method, path, body, headers)
    start = time.monotonic()
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    read = response.read()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, names, read, time.monotonic() - start)
