"""Judges whether what is not here can be fetched."""

import http.client
from collections.abc import Sequence
from urllib.parse import urlsplit

from embed.doctor.check import Finding
from embed.doctor.check import fail
from embed.network import WAYS_OUT
from embed.network import probe


def check_network(urls: Sequence[str]) -> Finding:
    """Asks each host from which a build would fetch something, and no other.

    Args:
        urls: What would be fetched.
    """
    of_hosts = {urlsplit(url).netloc: url for url in urls}
    if not of_hosts:
        return Finding("not needed: dataset and backbone are here")
    silent = {}
    for host, url in of_hosts.items():
        try:
            probe(url)
        except (OSError, ValueError, http.client.HTTPException) as error:
            silent[host] = getattr(error, "reason", None) or error
    if silent:
        problems = [f"{host} ({reason})" for host, reason in silent.items()]
        return fail(
            f"nobody answers at {', '.join(problems)}",
            "Connect this machine, by HTTPS_PROXY where there is a proxy. "
            + WAYS_OUT,
        )
    return Finding(f"{', '.join(of_hosts)} answered")
