"""Tests for `embed.doctor.offline`."""

import socket
import urllib.request

from embed.doctor.offline import OfflineError
from embed.doctor.offline import call_offline


def test_an_address_is_noted_and_not_opened(closed_address):
    """Python's own client says the whole address."""
    error, urls = call_offline(
        lambda: urllib.request.urlopen(closed_address)  # noqa: S310  Ours.
    )

    assert isinstance(error, OfflineError)
    assert urls == [closed_address]


def test_other_clients_say_the_host():
    """They ask for a name, and get no further."""
    error, urls = call_offline(
        lambda: socket.create_connection(("example.com", 443))
    )

    assert isinstance(error, OfflineError)
    assert urls == ["https://example.com:443"]


def test_what_needs_no_network_is_returned():
    """The value comes back, and nothing was wanted."""
    assert call_offline(lambda: 3) == (3, [])


def test_an_error_of_another_kind_is_returned():
    """Nothing was wanted, so the caller knows that it is no matter of that."""
    error, urls = call_offline(lambda: 1 / 0)

    assert isinstance(error, ZeroDivisionError)
    assert urls == []


def test_afterwards_there_is_a_network_again():
    """The hook cannot be removed, but it is asleep."""
    call_offline(lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
