"""gRPC's own law, as its C-core keeps it and as ours does: the same faults make the same attempts, call by call.

Both clients run with maxAttempts 3, maxTokens 10, tokenRatio 0.1, and UNAVAILABLE as the one code that is retried. The waits are
anybody's: they are short, and are not compared. (C-core never wakes from a wait that it rounds down to 0 ms, be it a pushback or a
backoff: there is none here.)
"""

import json
import random

from grpc_peer import Fault, calling, calling_with_ours, serving
from rig import check

CALLS, SEEDS = 200, range(16)

UNAVAILABLE, NOT_FOUND = Fault(14), Fault(5)
# RESOURCE_EXHAUSTED is without pushback here: with one, ours takes it for what it says, and C-core for one more code of its list.
OTHERS = [
    Fault(14, ("1",)),
    Fault(14, ("4",)),
    Fault(14, ("-1",)),
    Fault(14, ("abc",)),
    Fault(14, late=True),
    Fault(8),
    Fault(3),
    Fault(13, ("-1",)),
    Fault(13, late=True),
]

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.005s",
                "maxBackoff": "0.01s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}


def script_of(seed):
    """The faults of each call: in good times and in bad, so that the tokens run out and come back."""
    dice = random.Random(seed)
    faults, share, otherwise, left = {}, 0.0, None, 0

    def draw():
        if dice.random() >= share:
            return otherwise
        return UNAVAILABLE if dice.random() < 0.6 else dice.choice(OTHERS)

    for number in range(CALLS):
        if not left:
            share, left = dice.choice([0.0, 0.05, 0.1, 0.1, 0.3]), dice.randrange(10, 40)
            # At times nobody asks for what there is, which is neither a failure nor a success.
            otherwise = dice.choice([None, None, None, NOT_FOUND])
        left -= 1
        faults[str(number)] = [draw() for _ in range(3)]
    return faults


def run(faults, make_calls):
    """What a client does: the status of each call, and all attempts as the server saw them."""
    with serving(faults.__getitem__) as (server, address):
        statuses = make_calls(address, list(faults))
        return statuses, [(attempt.call, attempt.previous) for attempt in server.log]


def core(address, calls):
    """By C-core, which keeps its tokens by the server's name: a server of its own for each run."""
    with calling(address, ("grpc.service_config", json.dumps(SERVICE_CONFIG)), ("grpc.enable_retries", 1)) as call:
        return [(name, call(name)) for name in calls]


def ours(address, calls):
    """By ours."""
    with calling_with_ours(address, max_tokens=10, token_ratio=0.1) as call:
        return [(name, call(name)) for name in calls]


def first_difference(theirs, mine):
    """The first call that they make otherwise, and what they make of it."""
    for call in map(str, range(CALLS)):
        pair = [([entry for entry in run[0] + run[1] if entry[0] == call]) for run in (theirs, mine)]
        if pair[0] != pair[1]:
            return pair
    return None


def main():
    retried = denied = 0
    for seed in SEEDS:
        faults = script_of(seed)
        theirs, mine = run(faults, core), run(faults, ours)
        check(f"seed {seed}: all calls are made", len(mine[0]), CALLS)
        difference = first_difference(theirs, mine)
        if difference:
            call = difference[0][0][0]
            print(f"call {call}: {[str(fault) for fault in faults[call]]}\n  C-core: {difference[0]}\n  ours:   {difference[1]}")
        check(f"seed {seed}: {CALLS} calls, {len(theirs[1])} attempts, the same", theirs == mine)

        seconds = {call for call, previous in theirs[1] if previous == "1"}
        unavailable = {call for call, (first, *_) in faults.items() if first == UNAVAILABLE}
        retried += len(seconds)
        denied += len(unavailable - seconds)
    # Or the two would agree on too little.
    check("many calls were retried", retried > 50)
    check("many calls were not, for want of tokens", denied > 50)


main()
