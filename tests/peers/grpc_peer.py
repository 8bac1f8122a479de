"""A gRPC C-core server that fails as it is told, a C-core client, and ours. Calls are named by their metadata `x-call`."""

import collections
import contextlib
import os
import subprocess
import time
from concurrent import futures
from dataclasses import dataclass

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
import grpc

from rig import LOCAL, running

METHOD = "/peers.Peer/Call"
PUSHBACK = "grpc-retry-pushback-ms"
CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Fault:
    """How an attempt ends: with this status, these pushbacks, and all in one HEADERS frame or behind another."""

    code: int
    pushbacks: tuple = ()
    late: bool = False

    def __str__(self):
        pushbacks = "".join(f" pushback {value or 'empty'}" for value in self.pushbacks)
        return f"{CODES[self.code].name}{' behind its head' if self.late else ''}{pushbacks}"


@dataclass(frozen=True)
class Attempt:
    """What the server saw of an attempt."""

    call: str
    previous: str
    at: float


class Server(grpc.GenericRpcHandler):
    """`script` gives the faults of a call, one for each attempt; the attempts after those succeed."""

    def __init__(self, script):
        self.script = script
        self.log = []
        self.counts = collections.Counter()

    def service(self, details):
        if details.method == METHOD:
            return grpc.unary_unary_rpc_method_handler(self.answer)
        return None

    def answer(self, request, context):
        metadata = dict(context.invocation_metadata())
        call = metadata["x-call"]
        number = self.counts[call]
        self.counts[call] += 1
        self.log.append(Attempt(call, metadata.get("grpc-previous-rpc-attempts", "none"), time.monotonic()))
        faults = self.script(call)
        if number >= len(faults) or faults[number] is None:
            return b""
        fault = faults[number]
        if fault.late:
            # With something in it, or C-core makes one frame of the two where it can.
            context.send_initial_metadata((("x-head", "sent"),))
        context.set_trailing_metadata(tuple((PUSHBACK, value) for value in fault.pushbacks))
        context.abort(CODES[fault.code], "as told")

    def attempts(self, call):
        """Those of a call, in order."""
        return [attempt for attempt in self.log if attempt.call == call]


@contextlib.contextmanager
def serving(script):
    """A server with this script. Gives it and its address."""
    handler = Server(script)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(f"{LOCAL}:0")
    server.start()
    try:
        yield handler, f"{LOCAL}:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def calling(address, *options):
    """C-core's client: a function that makes the call of a name, and gives its status and what came with it."""
    with grpc.insecure_channel(address, options=options) as channel:
        method = channel.unary_unary(METHOD)

        def call(name):
            try:
                method(b"", timeout=20, metadata=(("x-call", name),))
                return 0
            except grpc.RpcError as error:
                return error.code().value[0]

        yield call


@contextlib.contextmanager
def calling_with_ours(address, max_tokens, token_ratio):
    """The same of ours, by gRPC's law."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with running(os.environ["CALLER"], address, str(max_tokens), str(token_ratio), **pipes) as process:

        def call(name):
            print(name, file=process.stdin, flush=True)
            return int(process.stdout.readline().removeprefix(name))

        yield call
