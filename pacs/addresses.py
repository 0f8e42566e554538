"""Addresses of the network that are never called, whoever registers them (SSRF)."""

from __future__ import annotations

import ipaddress


def never_called(address: str) -> bool:
    """Link-local addresses, behind which a cloud has its own services, and multicast and unspecified ones; False for
    what is a name."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(found, "ipv4_mapped", None) or found
    return bool(plain.is_link_local or plain.is_multicast or plain.is_unspecified)
