# SPDX-License-Identifier: Apache-2.0
"""What an IP address says of a peer: whether it is this machine, and who shares it. Pure."""

import ipaddress


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own; IPv4 within IPv6 included."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def network_of(address: str) -> str:
    """What counts as one peer for limits: an IPv4 address, or an IPv6 network of one customer (/64)."""
    plain = plain_address(address)
    try:
        found = ipaddress.ip_address(plain)
    except ValueError:
        return plain
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else plain


def plain_address(address: str) -> str:
    """An address in its one usual spelling, IPv4 also where it came within IPv6; what is none is cut short."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(getattr(found, "ipv4_mapped", None) or found)
