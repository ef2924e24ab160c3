"""The walk from the connected relay to the client, over fields as servers write them.

Ours: `mx2` (192.0.2.2) is connected; `gw` (192.0.2.3), `edge` (2001:db8:1::4) and a filter (10.9.9.9) are others that
may stand before it. The client is `out.example.com` (203.0.113.7).
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.model import Client, IPAddress
from spfmilter.relays import OriginatingClient, originating_client
from spfmilter.relays.chain import MAX_FIELDS, MAX_NAMES
from spfmilter.settings.lists import filled
from spfmilter.settings.networklist import NetworkList

TRUSTED = filled(NetworkList(), ("192.0.2.0/28", "2001:db8:1::/48", "10.9.9.0/24", "127.0.0.0/8"))
RELAY = Client(address=ip_address("192.0.2.2"), name="mx2.example.net")
CLIENT = Client(address=ip_address("203.0.113.7"), name="mail.example.com")
FOUND = OriginatingClient(client=CLIENT, helo="out.example.com", hops=0)

FROM_CLIENT = "from out.example.com (mail.example.com [203.0.113.7])"
BY_MX2 = "by mx2.example.net (Postfix) with ESMTPS id 1"
BY_GW = "by gw.example.net (8.17.1/8.17.1) with ESMTP id 2"
FROM_GW = "from gw.example.net (gw.example.net [192.0.2.3])"
FROM_EDGE = "from edge.example.net (edge.example.net [IPv6:2001:db8:1::4])"
BY_EDGE = "by edge.example.net with esmtps (TLS1.3) (Exim 4.96) id 3"
BY_MICROSOFT = "with Microsoft SMTP Server id 15"

# What any client may write below the field of the first of our servers, to be taken for a client that SPF lets pass.
FORGED = [
    f"from good.example.org (good.example.org [198.51.100.1]) {BY_MX2}",
    f"from good.example.org (good.example.org [198.51.100.1]) {BY_GW}",
]


def nobody(_name: str) -> frozenset[IPAddress]:
    """No host name has an address."""
    return frozenset()


def walk(
    received: Sequence[str], relay: Client = RELAY, helo: str | None = None, **addresses: str
) -> OriginatingClient | None:
    """The origin, in a DNS in which the names (with _ for a dot) have these addresses."""
    known = {name.replace("_", "."): frozenset({ip_address(a)}) for name, a in addresses.items()}
    return originating_client(received, relay, TRUSTED, lambda name: known.get(name.lower(), frozenset()), helo)


def after(hops: int, client: Client = CLIENT, helo: str | None = "out.example.com") -> OriginatingClient:
    return OriginatingClient(client=client, helo=helo, hops=hops)


WALKS: dict[str, tuple[list[str], OriginatingClient | None]] = {
    "a backup MX": ([f"{FROM_CLIENT} {BY_MX2}"], after(0)),
    "two relays": ([f"{FROM_GW} {BY_MX2}", f"{FROM_CLIENT} {BY_GW}"], after(1)),
    "three, one over IPv6": (
        [f"{FROM_GW} {BY_MX2}", f"{FROM_EDGE} {BY_GW}", f"{FROM_CLIENT} {BY_EDGE}"],
        after(2),
    ),
    "four, one of them twice": (
        [f"{FROM_GW} {BY_MX2}", f"{FROM_EDGE} {BY_GW}", f"{FROM_GW} {BY_EDGE}", f"{FROM_CLIENT} {BY_GW}"],
        after(3),
    ),
    "an IPv6 client": (
        [f"from [2001:db8::7] (helo=out.example.com) {BY_EDGE.replace('edge', 'mx2')}"],
        after(0, Client(address=ip_address("2001:db8::7"))),
    ),
    "capitals and final dots": ([f"{FROM_CLIENT} by MX2.Example.NET. (Postfix) with ESMTP id 1"], after(0)),
    "by says its address": ([f"{FROM_CLIENT} by other (192.0.2.2) {BY_MICROSOFT}"], after(0)),
    "by is an address": ([f"{FROM_CLIENT} by [192.0.2.2] with ESMTP id 1"], after(0)),
    "a filter on the same host": (
        [
            "from localhost (localhost [127.0.0.1]) by mx2.example.net (Postfix) with ESMTP id 1",
            (
                "from mx2.example.net ([127.0.0.1]) by localhost (mx2.example.net [127.0.0.1]) (amavis, port 10024)"
                " with ESMTP id 5yXX"
            ),
            f"{FROM_CLIENT} {BY_MX2}",
        ],
        after(0),
    ),
    "a filter that says the host's name to the host": (
        [
            f"from mx2.example.net (mx2.example.net [127.0.0.1]) {BY_MX2}",
            "from mx2.example.net ([127.0.0.1]) by localhost (amavis, port 10024) with ESMTP id 5yXX",
            f"{FROM_CLIENT} {BY_MX2}",
        ],
        after(0),
    ),
    "a filter over IPv6": (
        [f"from filter.internal (localhost [IPv6:::1]) {BY_MX2}", f"{FROM_CLIENT} {BY_MX2}"],
        after(0),
    ),
    "a filter on a host of its own": (
        [
            f"from filter.internal (unknown [10.9.9.9]) {BY_MX2}",
            "from mx2.example.net (mx2 [192.0.2.2]) by filter.internal (Postfix) with ESMTP id 1",
            f"{FROM_CLIENT} {BY_MX2}",
        ],
        after(2),
    ),
    "a filter that is a program": (
        ["by mx2.example.net (Postfix, from userid 65534) id 1", f"{FROM_CLIENT} {BY_MX2}"],
        after(0),
    ),
    "qmail's two fields": (
        [
            "(qmail 4711 invoked from network)",
            "from mail.example.com (HELO out.example.com) (203.0.113.7) by mx2.example.net with SMTP",
        ],
        after(0),
    ),
    "exchange hands on to itself": (
        [
            f"from mx2.example.net (172.16.0.2) by mx2.example.net (172.16.0.2) {BY_MICROSOFT}",
            f"from out.example.com (203.0.113.7) by mx2.example.net (172.16.0.2) {BY_MICROSOFT}",
        ],
        after(0, Client(address=ip_address("203.0.113.7"))),
    ),
    "a relay that logs in at the next": (
        [
            (
                "from gw.example.net (gw.example.net [192.0.2.3]) (Authenticated sender: gw) by mx2.example.net"
                " (Postfix) with ESMTPSA id 1"
            ),
            f"{FROM_CLIENT} {BY_GW}",
        ],
        after(1),
    ),
    "mox, which says its address, behind OpenSMTPD": (
        [
            "from gw.example.net (<unknown> [192.0.2.3]) by mx2.example.net (OpenSMTPD) with ESMTPS id 1 (TLSv1.3:x)",
            "from out.example.com (mail.example.com [203.0.113.7]) by gw ([192.0.2.3]) via tcp with ESMTPS id 1",
        ],
        after(1),
    ),
    "CommuniGate behind chasquid": (
        [
            (
                "from gw.example.net ([192.0.2.3]) by mx2.example.net (chasquid) with ESMTPS tls x (over SMTP, TLS-1.3,"
                ' envelope from "a@example.com")'
            ),
            "from [203.0.113.7] (HELO out.example.com) by gw.example.net (CommuniGate Pro SMTP 6.2) with ESMTPS id 1",
        ],
        after(1, Client(address=ip_address("203.0.113.7"))),
    ),
    # -- it is not known, or it was not sent from outside --
    "a user of Tencent's": (
        ["from pc ([203.0.113.50]) by mx2.example.net (NewEsmtp) with SMTP id 81DBFECA", *FORGED],
        None,
    ),
    "inside Microsoft 365": (
        [f"from DB5.example.org (2001:db8:365::1) by DB8.example.org (2001:db8:365::2) {BY_MICROSOFT}", *FORGED],
        None,
    ),
    "routed by Google Workspace": (["by mx2.example.net with SMTP id 4fb4d7f45d1cf", *FORGED], None),
    "no field at all": ([], None),
    "the relay has written none": ([f"{FROM_CLIENT} by elsewhere.example.com (Postfix) with ESMTP id 1"], None),
    "a field that cannot be read": ([f"from x {BY_MX2}", f"{FROM_CLIENT} {BY_MX2}"], None),
    "the second relay has written none": ([f"{FROM_GW} {BY_MX2}", FORGED[0]], None),
    "the fields end at a relay": ([f"{FROM_GW} {BY_MX2}"], None),
    "a message of the relay's own": (["by mx2.example.net (Postfix, from userid 0) id 1"], None),
    "a user who has logged in": (
        [f"from pc (home.example.com [203.0.113.50]) {BY_MX2.replace('ESMTPS', 'ESMTPSA')}", *FORGED],
        None,
    ),
    "a web mailer that has logged in": (
        [
            f"from mx2.example.net (localhost [127.0.0.1]) {BY_MX2.replace('ESMTPS', 'ESMTPSA')}",
            f"{FROM_CLIENT} {BY_MX2}",
        ],
        None,
    ),
    "a private client": ([f"from pc (pc.internal [10.1.1.1]) {BY_MX2}", *FORGED], None),
    "the address has been removed": (["by mx2.example.net with ESMTPS id 1", *FORGED], None),
}


@pytest.mark.parametrize(("received", "found"), WALKS.values(), ids=WALKS.keys())
def test_a_walk(received: list[str], found: OriginatingClient | None) -> None:
    assert walk(received) == found


@pytest.mark.parametrize("name", [name for name, (_, found) in WALKS.items() if found is not None])
def test_what_a_client_forges_changes_nothing(name: str) -> None:
    """Below the field in which our first server names the client, all names of our servers are the client's claim."""
    received, found = WALKS[name]
    assert walk([*received, *FORGED]) == found


def test_a_client_does_not_pass_for_a_relay_by_its_helo() -> None:
    """It says our names, and writes a field in our form; the address in our field is still its own."""
    received = [f"from gw.example.net (unknown [203.0.113.7]) {BY_MX2}", *FORGED]
    assert walk(received) == after(0, Client(address=ip_address("203.0.113.7")), "gw.example.net")


@pytest.mark.parametrize("by", ["with ESMTP", "with MailEnable ESMTP", "(Postfix) with ESMTP id 1"])
def test_a_helo_with_a_whole_field_in_it_is_no_relay(by: str) -> None:
    """A server such as hMailServer takes any: a hop from a relay of ours, or a client for which SPF passes."""
    for address in ("192.0.2.3", "198.51.100.1"):
        helo = f"gw.example.net (gw.example.net [{address}]) by mx2.example.net {by} ("
        received = [f"from {helo} (Unknown [203.0.113.7])\r\n\tby mx2.example.net with ESMTP\r\n\t", *FORGED]
        assert walk(received) == after(0, Client(address=ip_address("203.0.113.7")), helo)


def test_sendmail_shows_a_client_without_helo_and_it_is_no_local_program() -> None:
    received = ["(from mail.example.com [203.0.113.7]) by mx2.example.net (8.17.1) with SMTP id 1", *FORGED]
    assert walk(received) == after(0, helo=None)


# -- who has written a field -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relay", "helo", "addresses", "known"),
    [
        (Client(address=RELAY.address, name="mx2.example.net"), None, {}, True),
        (Client(address=RELAY.address, name="MX2.example.net."), None, {}, True),
        (Client(address=RELAY.address, name="host-2.example.org"), "mx2.example.net", {}, True),
        (Client(address=RELAY.address, name="host-2.example.org"), None, {"mx2_example_net": "192.0.2.2"}, True),
        (Client(address=RELAY.address, name="host-2.example.org"), None, {"mx2_example_net": "192.0.2.3"}, False),
        (Client(address=RELAY.address, name="host-2.example.org"), "mx2", {}, False),
        (Client(address=RELAY.address, name="[192.0.2.2]"), None, {}, False),
        (Client(address=RELAY.address), "", {}, False),
    ],
)
def test_a_field_is_the_relays_by_its_name_its_helo_or_its_address(
    relay: Client, helo: str | None, addresses: dict[str, str], known: bool
) -> None:
    assert (walk([f"{FROM_CLIENT} {BY_MX2}"], relay, helo, **addresses) == FOUND) is known


def test_of_a_relay_further_away_what_the_one_before_has_recorded_counts() -> None:
    """Its HELO is `gw`, its address has another name, and by what it calls itself only the DNS knows it."""
    received = [f"from gw (host-3.example.org [192.0.2.3]) {BY_MX2}", f"{FROM_CLIENT} {BY_GW}"]
    assert walk(received) is None
    assert walk(received, gw_example_net="192.0.2.3") == after(1)
    for name in ("gw", "host-3.example.org"):
        assert walk([received[0], f"{FROM_CLIENT} by {name} (Postfix) with ESMTP id 2"]) == after(1)


@pytest.mark.parametrize("name", ["unknown", "localhost", ""])
def test_a_name_that_names_no_host_is_no_name_of_a_relay(name: str) -> None:
    relay = Client(address=RELAY.address, name="unknown")
    assert walk([f"{FROM_CLIENT} by {name} (Postfix) with ESMTP id 1"], relay) is None


@pytest.mark.parametrize("relay", [Client(address=None), Client(address=ip_address("203.0.113.9"), name=RELAY.name)])
def test_no_other_client_is_a_relay(relay: Client) -> None:
    assert walk([f"{FROM_CLIENT} {BY_MX2}"], relay) is None


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_a_loop_ends() -> None:
    loop = [f"{FROM_GW} {BY_MX2}", f"from mx2.example.net (mx2.example.net [192.0.2.2]) {BY_GW}"] * MAX_FIELDS
    end = f"{FROM_CLIENT} {BY_MX2}"
    assert walk([*loop[: MAX_FIELDS - 2], end]) == after(MAX_FIELDS - 2)
    assert walk([*loop[:MAX_FIELDS], end]) is None


def test_names_are_asked_for_once_each_and_ten_at_most() -> None:
    asked = []

    def names_of(name: str) -> frozenset[IPAddress]:
        asked.append(name)
        return frozenset({ip_address("192.0.2.2")})

    received = [
        f"from a (b [192.0.2.2]) by h{n}.example.net with ESMTP id 1" for n in range(2 * MAX_NAMES) for _ in range(2)
    ]
    assert originating_client(received, RELAY, TRUSTED, names_of, None) is None
    assert asked == [f"h{n}.example.net" for n in range(MAX_NAMES)]


def test_what_cannot_be_a_host_name_is_not_asked_for() -> None:
    def names_of(name: str) -> frozenset[IPAddress]:
        raise AssertionError(name)

    for by in ("x", "[192.0.2.9]", "a..b", "a" * 300 + ".example", "\udcff.example", f"{'b' * 64}.example"):
        assert originating_client([f"{FROM_CLIENT} by {by} with ESMTP id 1"], RELAY, TRUSTED, names_of, None) is None


# -- properties --------------------------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [FROM_CLIENT, FROM_GW, FROM_EDGE, BY_MX2, BY_GW, BY_EDGE, "from localhost ([127.0.0.1])", "(qmail 1 invoked)"]
)
FIELDS = st.lists(st.text(max_size=60) | st.lists(PARTS, max_size=4).map(" ".join), max_size=8)


@pytest.mark.parametrize("names_of", [nobody, lambda _: frozenset({RELAY.address, ip_address("192.0.2.3")})])
@given(received=FIELDS)
def test_a_walk_ends_at_a_client_from_outside_or_nowhere(
    names_of: Callable[[str], frozenset[IPAddress]], received: list[str]
) -> None:
    found = originating_client(received, RELAY, TRUSTED, names_of, None)
    if found is not None:
        assert found.client.address == CLIENT.address


@given(received=FIELDS, helo=st.text(alphabet=st.characters(blacklist_characters=' <>()\\";@\t\r\n'), min_size=1))
def test_nothing_that_a_client_sends_hides_it(received: list[str], helo: str) -> None:
    top = f"from {helo} (mail.example.com [203.0.113.7]) {BY_MX2}"
    assert walk([top, *received]) == after(0, helo=helo)


def test_hosts_that_a_translator_shows_are_ip4_hosts_along_the_chain() -> None:
    """A relay with IPv6 only has recorded them so: a server of ours, listed as IPv4, and the client."""
    received = [
        f"from gw.example.net (gw.example.net [IPv6:64:ff9b::192.0.2.3]) {BY_MX2}",
        f"from out.example.com (mail.example.com [IPv6:64:ff9b::203.0.113.7]) {BY_GW}",
    ]
    prefixes = [IPv6Network("64:ff9b::/96")]
    assert originating_client(received, RELAY, TRUSTED, nobody, None, nat64=prefixes) == after(1)
