"""Tests for `embed.doctor.reachability`."""

import socket
import threading

from embed.doctor.reachability import check_network


def test_nobody_answers(closed_address):
    """The host is named, and the ways out without a network."""
    found = check_network([closed_address])

    assert found.level == "error"
    assert "nobody answers at 127.0.0.1:" in found.detail
    assert "Connection refused" in found.detail
    assert "--dataset folder:DIR" in found.advice


def test_no_address_at_all():
    """An address that is none is reported like a host that is silent."""
    assert check_network(["nonsense://"]).level == "error"


def test_each_host_is_asked_once():
    """Two files of one server are one question."""
    num_asked = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            nonlocal num_asked
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    num_asked += 1
                    client.recv(4096)
                    client.sendall(b"HTTP/1.0 404 No\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        found = check_network([f"http://{host}/a", f"http://{host}/b"])

    assert found.level == "ok"
    assert found.detail == f"{host} answered"
    assert num_asked == 1


def test_nothing_is_to_be_fetched():
    """Nobody is asked, and no network is needed."""
    assert check_network([]).level == "ok"
