"""Hosts and ports on the command line."""

import argparse
import ipaddress


def port_of(text: str) -> int:
    """A port, or 0 for a free one.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"no port: {text!r}")
    return port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
