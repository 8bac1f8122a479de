"""What ours does about each way in which a C-core server fails a call: the attempts are counted there."""

from grpc_peer import Fault, calling, calling_with_ours, serving
from rig import at_least, check, gateway

UNAVAILABLE, RESOURCE_EXHAUSTED = 14, 8
NEVER_RETRIED = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16)

# The faults of a call; the attempts that are made, the status that the caller sees, and the milliseconds between two attempts.
ROWS = [
    ([Fault(UNAVAILABLE)], 2, 0, 0),
    ([Fault(UNAVAILABLE)] * 2, 3, 0, 0),
    ([Fault(UNAVAILABLE)] * 9, 3, UNAVAILABLE, 0),
    ([Fault(UNAVAILABLE, ("300",))] * 2, 3, 0, 300),
    ([Fault(UNAVAILABLE, ("1",))], 2, 0, 1),
    # C-core's server writes what is no number as the lowest, -9223372036854775808.
    *(
        ([Fault(UNAVAILABLE, (pushback,))] * 9, 1, UNAVAILABLE, 0)
        for pushback in ("-1", "-2147483648", "abc", "", "1.5", "2147483648", "99999999999")
    ),
    # Nobody waits that long: better to fail now.
    ([Fault(UNAVAILABLE, ("31000",))], 1, UNAVAILABLE, 0),
    ([Fault(UNAVAILABLE), Fault(UNAVAILABLE, ("-1",))], 2, UNAVAILABLE, 0),
    # Its head may be with the caller already.
    ([Fault(UNAVAILABLE, late=True)], 1, UNAVAILABLE, 0),
    ([Fault(RESOURCE_EXHAUSTED)], 1, RESOURCE_EXHAUSTED, 0),
    ([Fault(RESOURCE_EXHAUSTED, ("200",))], 2, 0, 200),
    ([Fault(RESOURCE_EXHAUSTED, ("-1",))], 1, RESOURCE_EXHAUSTED, 0),
    ([Fault(RESOURCE_EXHAUSTED, ("abc",))], 1, RESOURCE_EXHAUSTED, 0),
    *(([Fault(code)], 1, code, 0) for code in NEVER_RETRIED),
    *(([Fault(code, ("5",))], 1, code, 0) for code in (1, 4, 13)),
]


def hold(how, server, call):
    """Makes a call for each row."""
    for number, (faults, attempts, status, wait) in enumerate(ROWS):
        what = f"{how}: {faults[0]}, {len(faults)} times"
        name = str(number)
        check(f"{what}: status {status}", call(name), status)
        seen = server.attempts(name)
        previous = [attempt.previous for attempt in seen]
        check(f"{what}: {attempts} attempts", previous, ["none", "1", "2"][:attempts])
        if wait:
            shortest = min(after.at - before.at for before, after in zip(seen, seen[1:]))
            at_least(f"{what}: milliseconds between two", shortest * 1000, wait)


def script(name):
    return ROWS[int(name)][0]


def main():
    with serving(script) as (server, address), calling_with_ours(address, max_tokens=1000, token_ratio=1) as call:
        hold("client", server, call)

    with (
        serving(script) as (server, address),
        gateway(f"h2c://{address}", options=["--retry-budget", "1"]) as front,
        calling(front, ("grpc.enable_retries", 0)) as call,
    ):
        hold("gateway", server, call)


main()
