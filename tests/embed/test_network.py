"""Tests for `embed.network`."""

import http.server
import socket
import threading

import pytest

from embed.network import limit_silence
from embed.network import probe


@pytest.fixture(name="serve")
def _serve():
    """Starts a server on loopback that answers with a status."""
    servers = []

    def serve(status):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # The base class calls it so.
                """Answers every address alike."""
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                """Says nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/x"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_any_answer_is_a_network(serve, status):
    """A server that refuses is there all the same."""
    probe(serve(status))


def test_nobody_there():
    """A closed port is no network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(OSError, match="refused"):
        probe(f"http://127.0.0.1:{port}/")


def test_silent_server(monkeypatch):
    """A server that never answers is given up."""
    monkeypatch.setattr("embed.network.SILENCE_SECONDS", 0.2)

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(OSError, match="timed out"),
    ):
        probe(f"http://127.0.0.1:{server.getsockname()[1]}/")


def test_time_out_is_set_and_taken_back():
    """Libraries that set none get one, for as long as they are called."""
    before = socket.getdefaulttimeout()

    with limit_silence():
        inside = socket.getdefaulttimeout()

    assert inside is not None
    assert socket.getdefaulttimeout() == before
