"""Lets a test in another language restart its server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.server import Server


class Remote:
    """Answers `POST /stop` (SIGTERM) and `POST /kill` (SIGKILL): the server ends, starts again on its port and data, and
    the request is answered with 204 when it listens."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.lock = threading.Lock()
        remote = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response(remote.serve(self.path))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def serve(self, path: str) -> int:
        """Does what `path` says and gives the status of the answer."""
        if path not in ("/stop", "/kill"):
            return 404
        with self.lock:
            try:
                self.server.restart(kill=path == "/kill")
            except AssertionError as problem:
                print(problem, flush=True)
                return 500
        return 204

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
