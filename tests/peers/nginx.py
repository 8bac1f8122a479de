"""nginx as the upstream: when it says to come back, and when it closes connections that the gateway would use again."""

import collections
import contextlib
import http.client
import pathlib
import random
import string
import tempfile
import threading
import time

from rig import LOCAL, at_least, at_most, check, free_port, gateway, running, send, until_listening

NAMES = ("FAILING", "APP", "IDLE", "FEW", "GOAWAY")
REQUESTS, CALLERS = 2_000, 8


class Upstream:
    """An nginx that runs: its ports by name, and what it was asked."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {name: free_port() for name in NAMES}
        self.read = 0

    def url(self, name, scheme="http"):
        return f"{scheme}://{LOCAL}:{self.ports[name]}"

    def attempts(self, least=0):
        """The requests since this was last asked: so many at least. nginx writes them down a little after they are answered."""
        end = time.monotonic() + 5
        while True:
            time.sleep(0.1)
            lines = (self.folder / "attempts").read_text().splitlines()
            if len(lines) - self.read >= least or time.monotonic() > end:
                new, self.read = lines[self.read :], len(lines)
                return [line.split() for line in new]


@contextlib.contextmanager
def nginx():
    with tempfile.TemporaryDirectory() as name:
        upstream = Upstream(pathlib.Path(name))
        text = pathlib.Path(__file__).with_name("nginx.conf").read_text()
        own = upstream.ports | {"FOLDER": name}
        config = upstream.folder / "nginx.conf"
        config.write_text(string.Template(text).safe_substitute(own))
        with running("nginx", "-p", name, "-c", config) as process:
            for port in upstream.ports.values():
                until_listening(port, process)
            yield upstream


def hints(upstream):
    """What it says of when to come back."""
    with gateway(upstream.url("FAILING"), options=["--retry-budget", "1"]) as front:

        def hold(what, method, path, status, attempts, marked, wait=0, headers=None):
            answer = send(front, method, path, headers=headers)
            check(f"nginx: {what}: status {status}", answer.status, status)
            check(f"nginx: {what}: {attempts} attempts", len(upstream.attempts(attempts)), attempts)
            mark = answer.headers.get("x-should-retry")
            check(f"nginx: {what}: {'marked' if marked else 'not marked'}", mark, "false" if marked else None)
            if wait:
                at_least(f"nginx: {what}: seconds", answer.seconds, wait)

        hold("503, Retry-After: 1", "GET", "/soon", 503, 3, True, 2)
        hold("503, Retry-After: 1, to a POST", "POST", "/soon", 503, 1, False)
        hold("503, Retry-After: 1, half a second left", "GET", "/soon", 503, 1, False, 0, {"x-request-timeout-ms": "500"})
        hold("503, Retry-After: 60", "GET", "/late", 503, 1, False)
        hold("503, Retry-After long ago", "GET", "/past", 503, 3, True)
        hold("limit_req, the first", "GET", "/limited", 200, 1, False)
        hold("limit_req, the second is told to come back", "GET", "/limited", 200, 2, False, 2)
        hold("limit_req, a POST", "POST", "/limited", 503, 1, False)


def many(front, method, pause):
    """So many requests by a few callers, each over one connection, with pauses. Gives how often each status was seen."""
    statuses, lock = collections.Counter(), threading.Lock()

    def caller(number):
        dice = random.Random(number)
        with contextlib.closing(http.client.HTTPConnection(front, timeout=20)) as connection:
            for count in range(REQUESTS // CALLERS):
                body = b"a charge" if method == "POST" else None
                status = send(connection, method, "/", body, {"x-request": f"{number}-{count}"}).status
                if status != 200:
                    # With its body unread, the gateway closes behind it.
                    connection.close()
                with lock:
                    statuses[status] += 1
                time.sleep(dice.uniform(*pause))

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    return statuses


def connections(upstream):
    """What becomes of the requests on connections that it closes."""
    for what, url, pause, gets, posts in (
        # Who writes just as the connection closes cannot know whether the request was read, and does not guess: so POSTs may fail.
        ("idle connections", upstream.url("IDLE"), (0.018, 0.021), 0, REQUESTS),
        ("five requests a connection", upstream.url("FEW"), (0, 0.002), 0, 0),
        # Of some 50,000 requests, of either kind, one is not answered before its deadline: 504. There is room for that, and no more.
        ("GOAWAY after twenty streams", upstream.url("GOAWAY", "h2c"), (0, 0.002), 5, 20),
    ):
        for method in ("GET", "POST"):
            with gateway(url, options=["--retry-budget", "1"]) as front:
                upstream.attempts()
                statuses = many(front, method, pause)
            seen = upstream.attempts(statuses[200])
            again = sum(attempt != "-" for *_, attempt, _ in seen)
            about = f"nginx: {what}: {REQUESTS} {method}s, {again} of them sent again"
            answered = collections.Counter(request for _, _, status, _, request in seen if status == "200")
            most = gets if method == "GET" else posts
            at_most(f"{about}: failed", REQUESTS - statuses[200], most)
            if method == "GET":
                check(f"{about}: none with 502", statuses[502], 0)
            else:
                check(f"{about}: none was answered twice", [name for name, times in answered.items() if times > 1], [])


with nginx() as upstream:
    hints(upstream)
    connections(upstream)
