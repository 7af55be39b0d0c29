"""Which addresses the requests of users' tasks may go to: the public ones, and what the stage allows.

An address is judged, not a name, and the connection goes to the address that was judged: a name that is resolved a second time may
mean another one. An IPv6 address that stands for an IPv4 one (mapped, NAT64) is judged as that. Of IPv6, only what IANA has given
out as global unicast (2000::/3) is public, less the special ranges in it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA, "IPv4 Special-Purpose Address Registry", and multicast.
_REFUSED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host: on Linux the same as loopback
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT, and much of AWS's own inside
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: the metadata service, credentials of containers
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
# IANA, "IPv6 Special-Purpose Address Registry".
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments; Teredo, which carries IPv4 addresses, is in it
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: the next 32 bits are an IPv4 address
        "3fff::/20",  # documentation
    )
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # what DNS64 makes of public IPv4 addresses


class Egress:
    """``allowed`` are ranges that may be called although they are not public."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """Raises ValueError for what is no range in CIDR notation."""
        self._allowed: tuple[Network, ...] = tuple(ipaddress.ip_network(text) for text in allowed)

    def is_allowed(self, text: str) -> bool:
        """Of an address as the resolver writes it."""
        try:
            address = _meant(ipaddress.ip_address(text.partition("%")[0]))  # behind a % is the interface of a link-local one
        except ValueError:
            return False
        return _is_public(address) or any(address.version == network.version and address in network for network in self._allowed)


def _meant(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address) and (address in _MAPPED or address in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)
