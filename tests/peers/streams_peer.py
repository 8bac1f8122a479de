"""An HTTP/2 server that ends streams by the book: each answer is a line of a script, and each request is counted."""

import contextlib
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events

from rig import LOCAL

REFUSED_STREAM = h2.errors.ErrorCodes.REFUSED_STREAM
INTERNAL_ERROR = h2.errors.ErrorCodes.INTERNAL_ERROR
NO_ERROR = h2.errors.ErrorCodes.NO_ERROR


def respond(*headers):
    """An answer that is all head."""
    return lambda connection, stream: connection.send_headers(stream, headers, end_stream=True)


def reset(code):
    """RST_STREAM."""
    return lambda connection, stream: connection.reset_stream(stream, code)


def go_away(code, below):
    """GOAWAY of the last stream that is so far below this one, and no more of this connection."""

    def act(connection, stream):
        connection.close_connection(code, last_stream_id=max(stream - below, 0))

    return act


OK = respond((":status", "200"))


class Server:
    """Answers request after request, whatever the connection, by the next of these acts; and then with 200."""

    def __init__(self, listener):
        self.listener = listener
        self.lock = threading.Lock()
        self.acts = []
        self.seen = []

    def expect(self, *acts):
        """The acts for the requests to come. Forgets those that came."""
        with self.lock:
            self.acts, self.seen = list(acts), []

    def accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.converse, args=(accepted,), daemon=True).start()

    def converse(self, accepted):
        with accepted:
            connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
            connection.initiate_connection()
            accepted.sendall(connection.data_to_send())
            heads, bodies = {}, {}
            while data := accepted.recv(65536):
                for event in connection.receive_data(data):
                    match event:
                        case h2.events.RequestReceived():
                            heads[event.stream_id], bodies[event.stream_id] = dict(event.headers), b""
                        case h2.events.DataReceived():
                            bodies[event.stream_id] += event.data
                            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        case h2.events.StreamEnded():
                            self.act(heads[event.stream_id], bodies[event.stream_id])(connection, event.stream_id)
                with contextlib.suppress(OSError):
                    accepted.sendall(connection.data_to_send())
                if connection.state_machine.state == h2.connection.ConnectionState.CLOSED:
                    return

    def act(self, head, body):
        with self.lock:
            self.seen.append((head, body))
            return self.acts.pop(0) if self.acts else OK


@contextlib.contextmanager
def serving():
    """Such a server, and its address."""
    with socket.create_server((LOCAL, 0)) as listener:
        server = Server(listener)
        threading.Thread(target=server.accept, daemon=True).start()
        yield server, "{}:{}".format(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)
