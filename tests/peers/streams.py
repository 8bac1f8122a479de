"""What becomes of a request whose HTTP/2 stream ends without an answer: a POST is sent again if it was never looked at, and only then.

And what ours makes of gRPC pushbacks that a C-core server cannot be made to send: it writes a number for each.
"""

from grpc_peer import calling_with_ours
from rig import check, gateway, send
from streams_peer import INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, go_away, reset, respond, serving

# How the streams of a request end; the attempts that a POST makes and its status, and the same of a GET.
ENDS = [
    ("REFUSED_STREAM", [reset(REFUSED_STREAM)], (2, 200), (2, 200)),
    ("REFUSED_STREAM, twice", [reset(REFUSED_STREAM)] * 2, (3, 200), (3, 200)),
    ("REFUSED_STREAM, always", [reset(REFUSED_STREAM)] * 9, (3, 502), (3, 502)),
    ("GOAWAY below it", [go_away(NO_ERROR, below=2)], (2, 200), (2, 200)),
    ("GOAWAY below it, INTERNAL_ERROR", [go_away(INTERNAL_ERROR, below=2)], (2, 200), (2, 200)),
    ("INTERNAL_ERROR", [reset(INTERNAL_ERROR)], (1, 502), (2, 200)),
    ("NO_ERROR", [reset(NO_ERROR)], (1, 502), (2, 200)),
    ("GOAWAY that names it, and the end", [go_away(INTERNAL_ERROR, below=0)], (1, 502), (2, 200)),
    ("REFUSED_STREAM, then INTERNAL_ERROR", [reset(REFUSED_STREAM), reset(INTERNAL_ERROR)], (2, 502), (3, 200)),
]


def http():
    """A request for each."""
    with serving() as (server, address), gateway(f"h2c://{address}", options=["--retry-budget", "1"]) as front:
        for what, acts, post, get in ENDS:
            for method, (attempts, status) in (("POST", post), ("GET", get)):
                server.expect(*acts)
                answer = send(front, method, body=b"a charge" if method == "POST" else None)
                check(f"{method}, {what}: status {status}", answer.status, status)
                check(f"{method}, {what}: {attempts} attempts", len(server.seen), attempts)
                bodies = {body for _, body in server.seen}
                check(f"{method}, {what}: the same body", bodies, {b"a charge" if method == "POST" else b""})
                numbers = [head.get("x-retry-attempt", "none") for head, _ in server.seen]
                check(f"{method}, {what}: numbered", numbers, ["none", "1", "2"][:attempts])


def pushbacks():
    """A call for each."""
    head = ((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14"))
    with serving() as (server, address), calling_with_ours(address, max_tokens=1000, token_ratio=1) as call:

        def hold(values, attempts):
            server.expect(*[respond(*head, *(("grpc-retry-pushback-ms", value) for value in values))] * 9)
            what = "pushback " + (" and ".join(values) or "empty")
            check(f"{what}: status 14", call("any"), 14)
            check(f"{what}: {attempts} attempts", len(server.seen), attempts)

        for values in (("abc",), ("",), ("07",), ("+5",), ("1.5",), ("2147483648",), ("5", "5"), ("5", "-1")):
            hold(values, 1)
        hold(("0",), 3)
        hold(("5",), 3)


http()
pushbacks()
