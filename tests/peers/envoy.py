"""Envoy as the upstream: its own answers, and its local rate limit, with and without a word of when to come back."""

import contextlib
import pathlib
import string
import subprocess
import sys

from rig import LOCAL, at_least, check, free_port, gateway, running, send, until_listening

HERE = pathlib.Path(__file__).parent


@contextlib.contextmanager
def envoy():
    """An Envoy that runs: its URL, and a function that reads the next attempts."""
    port = free_port()
    config = string.Template((HERE / "envoy.yaml").read_text()).substitute(PORT=port)
    command = [
        pathlib.Path(sys.executable).with_name("envoy"),
        *("--config-yaml", config),
        *("--concurrency", "1"),
        *("--log-level", "critical"),
        *("--file-flush-interval-msec", "20"),
        # Nothing is shared with another Envoy of this machine.
        "--disable-hot-restart",
    ]
    with running(*command, stdout=subprocess.PIPE, text=True) as process:
        until_listening(port, process)
        yield f"http://{LOCAL}:{port}", lambda count: [process.stdout.readline().split() for _ in range(count)]


def main():
    with envoy() as (url, attempts), gateway(url, options=["--retry-budget", "1"]) as front:

        def hold(what, method, path, statuses, marked=False, wait=0):
            answer = send(front, method, path)
            check(f"envoy: {what}: status {statuses[-1]}", answer.status, statuses[-1])
            mark = answer.headers.get("x-should-retry")
            check(f"envoy: {what}: {'marked' if marked else 'not marked'}", mark, "false" if marked else None)
            if wait:
                at_least(f"envoy: {what}: seconds", answer.seconds, wait)
            numbers = ["-", "1", "2"][: len(statuses)]
            wanted = [[method, path, str(status), number] for status, number in zip(statuses, numbers)]
            check(f"envoy: {what}: {len(statuses)} attempts", attempts(len(statuses)), wanted)

        hold("503, retry-after: 1", "GET", "/soon", [503, 503, 503], marked=True, wait=2)
        hold("503, retry-after: 1, to a POST", "POST", "/soon", [503])
        hold("503, retry-after: 60", "GET", "/late", [503])
        hold("429 without a word", "GET", "/no-hint", [429])
        hold("a rate limit, the first", "GET", "/limited", [200])
        hold("a rate limit, the second is told to come back", "GET", "/limited", [429, 200], wait=2)
        hold("a rate limit, a POST", "POST", "/limited", [429])
        # Whatever came after those would be read here.
        hold("nothing was left over", "GET", "/no-hint", [429])


main()
