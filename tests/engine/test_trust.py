"""Lists of trusted peers: addresses are compared as addresses, networks hold their members."""

import pytest
from tests.engine.transcript import RELAY, Session, session

from smtpwire.engine.events import Peer
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.trust import NOBODY, TrustList
from smtpwire.extensions import XCLIENT
from smtpwire.wire.value import replace


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("192.0.2.1", "::ffff:c000:201"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:DB8:0:0:0:0:0:1"),
        ("2001:0db8::0001", "2001:db8::1"),
        ("10.0.0.0/24", "10.0.0.255"),
        ("10.0.0.0/24", "::ffff:10.0.0.7"),
        ("10.0.0.0/255.255.255.0", "10.0.0.1"),
        ("::ffff:10.0.0.0/120", "10.0.0.7"),
        ("2001:db8::/32", "2001:db8:ffff::1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("0.0.0.0/0", "203.0.113.9"),
        ("fe80::/10", "fe80::1%eth0"),
    ],
)
def test_the_same_address_in_other_words(entry: str, address: str) -> None:
    assert address in TrustList([entry])


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("192.0.2.1", "192.0.2.10"),
        ("192.0.2.1", "::192.0.2.1"),
        ("192.0.2.1", "192.0.2.1 "),
        ("192.0.2.1", "192.0.2.01"),
        ("10.0.0.0/24", "10.0.1.0"),
        ("0.0.0.0/0", "2001:db8::1"),
        ("::/0", "192.0.2.1"),
        ("::/0", ""),
        ("::/0", "localhost"),
    ],
)
def test_other_addresses(entry: str, address: str) -> None:
    assert address not in TrustList([entry])


def test_nobody() -> None:
    assert not NOBODY
    assert "192.0.2.1" not in NOBODY
    assert TrustList(["10.0.0.0/8"])


@pytest.mark.parametrize(
    "entry", ["localhost", "", "10.0.0.1/24", "10.0.0.0/33", "192.0.2.01", "[192.0.2.1]", 17, None]
)
@pytest.mark.parametrize("field", ["proxy", "xclient", "xforward", "pipeconnect"])
def test_what_is_neither_is_refused_at_once(field: str, entry: object) -> None:
    with pytest.raises((TypeError, ValueError), match=field):
        replace(RELAY, **{field: frozenset({entry})})


def test_one_string_is_no_list() -> None:
    with pytest.raises(ValueError, match=r"^[a-z_ ]+ takes several addresses, not one string: "):
        TrustList("192.0.2.1")


def test_lists_for_extensions_of_ones_own() -> None:
    with pytest.raises(ValueError, match=r"listed\['XMINE'\]"):
        replace(RELAY, listed={"XMINE": frozenset({"mx.example"})})
    with pytest.raises(ValueError, match="XCLIENT has a field"):
        replace(RELAY, listed={"XCLIENT": frozenset({"192.0.2.1"})})


def test_a_dual_stack_socket_s_peer_is_the_one_listed() -> None:
    config = replace(RELAY, offer=(XCLIENT,), xclient=frozenset({"10.0.0.0/24"}))
    made = session(config, peer=Peer("::ffff:10.0.0.9"))
    assert XCLIENT in made.conn.extensions
    assert XCLIENT not in session(config, peer=Peer("10.0.1.9")).conn.extensions


def test_a_network_of_proxies() -> None:
    config = replace(RELAY, proxy=frozenset({"10.0.0.0/24"}))
    made = Session(ServerConnection(config, peer=Peer("::ffff:10.0.0.1")))
    made.run()
    assert made.feed(b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\n").startswith(b"220 ")
    made = Session(ServerConnection(config, peer=Peer("10.0.1.1")))
    made.run()
    assert made.closed is not None


def test_lists_of_the_same_peers_are_equal() -> None:
    lists = [TrustList(["192.0.2.1", "10.0.0.0/8"]), TrustList(["10.0.0.0/8", "::ffff:192.0.2.1"])]
    assert lists[0] == lists[1]
    assert len(set(lists)) == 1
    assert lists[0].entries == {"192.0.2.1", "10.0.0.0/8"}
    assert lists[0] != NOBODY
    assert NOBODY != ()


def test_an_entry_is_a_string() -> None:
    with pytest.raises(ValueError, match="5 is no address or network: give each as a string"):
        TrustList((5,))  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("entry", "network"),
    [
        ("192.0.2.1/24", "192.0.2.0/24"),
        ("2001:DB8::1/32", "2001:db8::/32"),
        ("::ffff:192.0.2.1/120", "192.0.2.0/24"),
    ],
)
def test_an_address_with_its_network_is_told_which_that_is(entry: str, network: str) -> None:
    with pytest.raises(ValueError, match=rf"192\.0\.2\.0/24; did you mean {network}\?$"):
        TrustList([entry])
