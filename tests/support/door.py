"""A front door before a server, as a load balancer or a service's address is: it holds new connections while the server
is away, and breaks those that the server breaks."""

from __future__ import annotations

import socket
import threading
import time

from support import waiting

CHUNK = 64 * 1024


class Door:
    """Relays connections to one port. A connection that comes while nothing listens there waits until something does."""

    def __init__(self, port: int) -> None:
        self.behind = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        self.closed = True
        self.listener.close()

    def _accept(self) -> None:
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=[client], daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = self._reach()
        if server is None:
            client.close()
            return
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=pump, args=[client, server], daemon=True).start()
        pump(server, client)

    def _reach(self) -> socket.socket | None:
        """A connection to the server, once it is there."""
        end = time.monotonic() + waiting.DEADLINE
        while not self.closed and time.monotonic() < end:
            try:
                return socket.create_connection(("127.0.0.1", self.behind))
            except OSError:
                time.sleep(waiting.POLL)
        return None


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Copies bytes until one side ends; the end is passed on."""
    try:
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
