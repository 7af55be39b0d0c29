"""Which addresses may be called."""

from __future__ import annotations

import pytest

from batuta_server.http.egress import Egress

PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
    "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2600:1f18::1", "2a00:1450:4001:82a::200e", "2000::1", "3ffe::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
)  # fmt: skip
REFUSED = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3", "127.255.255.255",
    "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.7", "192.88.99.1",
    "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "fdff::1", "ff02::1", "ff0e::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::ffff:7f00:1",  # mapped
    "::127.0.0.1", "::10.0.0.1",  # compatible
    "::ffff:0:127.0.0.1",  # translated (SIIT)
    "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2002:808:808::1",  # 6to4
    "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",  # NAT64
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "2001:db8::1", "3fff::1", "100::1", "4000::1", "5f00::1",
    "", "localhost", "1.1.1.1.1", "not an address", "8.8.8.8/32",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_called(address: str) -> None:
    assert Egress().is_allowed(address)


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not Egress().is_allowed(address)


def test_a_range_is_allowed_in_each_form_of_its_addresses_and_nothing_beside_it() -> None:
    egress = Egress(("10.1.0.0/16", "fd12:3456::/32"))
    for address in ("10.1.0.1", "10.1.255.255", "::ffff:10.1.0.1", "64:ff9b::10.1.0.1", "fd12:3456:1::1"):
        assert egress.is_allowed(address), address
    for address in ("10.0.255.255", "10.2.0.0", "::ffff:10.2.0.0", "2002:a01:1::1", "fd12:3457::1", "127.0.0.1"):
        assert not egress.is_allowed(address), address


def test_a_range_of_one_family_says_nothing_of_the_other() -> None:
    assert not Egress(("0.0.0.0/0",)).is_allowed("::1")
    assert not Egress(("::/0",)).is_allowed("10.0.0.1")


@pytest.mark.parametrize("text", ["10.0.0.1/16", "lan", "10.0.0.0/33"])
def test_what_is_no_range_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError):
        Egress((text,))
