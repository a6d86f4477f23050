"""Who is at the other end: PROXY, XCLIENT, XFORWARD; and the verbs that extensions bring."""

from typing import Final

import pytest
from tests.engine.transcript import (
    RELAY,
    TLS,
    Session,
    answers,
    feed_all,
    play,
    session,
    wait,
)

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import Closed, CloseReason, Connected, Greeting, Identity, Peer
from smtpwire.engine.need import Need
from smtpwire.engine.policy import Policy
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.state import State
from smtpwire.engine.violation import ProtocolViolation, ViolationKind
from smtpwire.extensions import (
    ATRN,
    ETRN,
    ONEX,
    PIPECONNECT,
    XCLIENT,
    XFORWARD,
    Atrn,
    Etrn,
    Extension,
    Unavailable,
    XClient,
    XForward,
    flag,
    no_parameter,
)
from smtpwire.sasl import PasswordLogin
from smtpwire.testing import every_split
from smtpwire.wire.command import ExtensionCommand, ExtensionRequest, Verb, Vrfy
from smtpwire.wire.proxy import ProxyCommand, ProxyHeader, ProxyTransport
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request, replace, value

PROXY: Final = Peer(address="192.0.2.1", port=5000)
BEHIND: Final = replace(RELAY, proxy=frozenset({PROXY.address}))
V1: Final = b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\n"


# -- PROXY


def test_the_header_says_who_is_there() -> None:
    for chunks in every_split(V1 + b"EHLO c.example\r\n"):
        made = Session(ServerConnection(BEHIND, peer=PROXY))
        made.run()
        assert made.at(Need.DATA)
        assert made.sent == b"", "no greeting before the header"
        feed_all(made, chunks)
        [connected] = [event for event in made.events if isinstance(event, Connected)]
        assert connected.peer == made.conn.peer
        assert (connected.peer.address, connected.peer.port) == ("198.51.100.7", 4711)
        assert connected.peer.destination_address == "192.0.2.25"
        assert connected.peer.destination_port == 25
        assert connected.peer.proxy is not None
        assert made.sent.startswith(b"220 mx.example ESMTP\r\n250-mx.example\r\n")


def test_local_keeps_the_address() -> None:
    for header in (b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"):
        made = Session(ServerConnection(BEHIND, peer=PROXY))
        made.run()
        made.feed(header)
        assert (made.conn.peer.address, made.conn.peer.port) == (PROXY.address, PROXY.port)
        assert made.sent == b"220 mx.example ESMTP\r\n"


def test_a_header_that_names_no_destination() -> None:
    header = ProxyHeader(2, ProxyCommand.PROXY, ProxyTransport.TCP4, ("192.0.2.7", 4711))
    assert Peer("10.0.0.1", 1, "proxy").behind(header) == Peer(
        "192.0.2.7", 4711, "proxy", proxy=header
    )


def test_nothing_is_known_of_a_peer_at_first() -> None:
    assert Peer() == Peer("", 0, "", "", "", "", "", 0, None)


def test_version_2() -> None:
    addresses = bytes((198, 51, 100, 7, 192, 0, 2, 25)) + (4711).to_bytes(2, "big") + b"\0\x19"
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + addresses
    for chunks in every_split(header):
        made = Session(ServerConnection(BEHIND, peer=PROXY))
        made.run()
        feed_all(made, chunks)
        assert made.conn.peer.address == "198.51.100.7"


@pytest.mark.parametrize("octets", [b"EHLO c.example\r\n", b"PROXY TCP4 x\r\n", b"PROXY TCP4 1\n"])
def test_without_a_header_not_a_word(octets: bytes) -> None:
    for chunks in every_split(octets):
        made = Session(ServerConnection(BEHIND, peer=PROXY))
        made.run()
        feed_all(made, chunks)
        assert made.sent == b""
        assert made.closed is not None
        assert made.closed.reason is CloseReason.VIOLATION
        assert made.closed.error


def test_nobody_else_may_connect() -> None:
    made = Session(ServerConnection(BEHIND, peer=Peer(address="203.0.113.9")))
    made.run()
    assert made.events == [Closed(CloseReason.VIOLATION, None, "not a trusted proxy")]
    assert made.sent == b""


def test_a_header_that_the_adapter_has_read() -> None:
    made = Session(ServerConnection(BEHIND, peer=PROXY))
    made.run()
    made.feed(V1)
    made = Session(ServerConnection(BEHIND, peer=made.conn.peer, tls=TLS))
    assert made.run() == b"220 mx.example ESMTP\r\n"


def test_the_end_of_the_stream_in_a_header() -> None:
    made = Session(ServerConnection(BEHIND, peer=PROXY))
    made.run()
    made.feed(V1[:9])
    made.end()
    assert made.events == [Closed(CloseReason.EOF)]


def test_talk_behind_the_header_is_early() -> None:
    config = replace(BEHIND, policies={ViolationKind.EARLY_TALK: Policy.CLOSE})
    made = Session(ServerConnection(config, peer=PROXY))
    made.run()
    assert made.feed(V1 + b"EHLO c.example\r\n") == b"554 Talk after the greeting\r\n"
    made = Session(ServerConnection(config, peer=PROXY))
    made.run()
    made.feed(V1)
    assert made.feed(b"EHLO c.example\r\n").startswith(b"250-")


def test_who_is_behind_it_is_who_counts() -> None:
    config = replace(
        BEHIND,
        offer=(*RELAY.offer, XCLIENT(("NAME",))),
        xclient=frozenset({"198.51.100.7"}),
    )
    made = Session(ServerConnection(config, peer=PROXY))
    made.run()
    made.feed(V1)
    assert b"250-XCLIENT NAME\r\n" in made.feed(b"EHLO c\r\n")


# -- XCLIENT and XFORWARD


TRUSTED: Final = Peer(address="192.0.2.2", name="front.example")
FRONT: Final = replace(
    RELAY,
    offer=(*RELAY.offer, XCLIENT, XFORWARD, PIPECONNECT),
    xclient=frozenset({TRUSTED.address}),
    xforward=frozenset({TRUSTED.address}),
    pipeconnect=frozenset({TRUSTED.address}),
)
BELIEVING: Final = replace(FRONT, xclient_login=True)
BELIEVE: Final = answers({XClient: Reply(220), XForward: Reply(250, "Noted")})


def fronted(config: ServerConfig = FRONT) -> Session:
    return session(config, BELIEVE, peer=TRUSTED)


def test_without_a_value_all_attributes_are_offered() -> None:
    """A client sends only what is offered; LOGIN has a switch of its own."""
    hello = fronted().feed(b"EHLO c\r\n")
    assert b"250-XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT REVERSE_NAME\r\n" in hello
    assert b"250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n" in hello
    hello = fronted(BELIEVING).feed(b"EHLO c\r\n")
    assert b"-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME\r\n" in hello


def test_what_was_not_offered_is_not_taken() -> None:
    config = replace(FRONT, offer=(*RELAY.offer, XCLIENT(("NAME", "TTL")), XFORWARD(("NAME",))))
    play(
        lambda: fronted(replace(config, pipeconnect=frozenset())),
        r"""
        C: XFORWARD NAME=client.example ADDR=192.0.2.7
        S: 501 5.5.4 Attribute not offered
        C: XFORWARD NAME=client.example
        S: 250 2.0.0 Noted
        C: XCLIENT NAME=client.example ADDR=192.0.2.7
        S: 501 5.5.4 Attribute not offered
        C: XCLIENT NAME=client.example X-MORE=1
        S: 501 5.5.4 Attribute not offered
        C: XCLIENT NAME=client.example TTL=7
        S: 220 mx.example ESMTP
        """,
    )


def test_xclient_starts_the_session_anew() -> None:
    made = play(
        fronted,
        r"""
        C: XCLIENT NAME=client.example ADDR=198.51.100.7 PORT=4711 HELO=helo.example PROTO=ESMTP
        S: 220 mx.example ESMTP
        C: MAIL FROM:<a@b.example>
        S: 503 5.5.1 Bad sequence of commands
        C: XCLIENT NAME=x
        S: 503 5.5.1 Bad sequence of commands
        """,
    )
    assert made.conn.peer == Peer("198.51.100.7", 4711, "client.example", "helo.example", "ESMTP")
    assert made.conn.hello is None
    again = [event for event in made.events if isinstance(event, Connected)]
    assert [event.peer for event in again] == [made.conn.peer]


def test_what_it_does_not_say_stays_and_what_is_unknown_goes() -> None:
    made = fronted()
    made.feed(b"XCLIENT ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] DESTADDR=192.0.2.3 DESTPORT=25\r\n")
    assert made.conn.peer == Peer(
        name="front.example", destination_address="192.0.2.3", destination_port=25
    )
    made.feed(b"EHLO c\r\nXCLIENT NAME=[TEMPUNAVAIL]\r\n")
    assert made.conn.peer.name == ""
    assert made.conn.peer.destination_port == 25
    made.feed(b"EHLO c\r\nXCLIENT DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]\r\n")
    assert made.conn.peer == Peer()


def test_a_login_is_believed_only_where_that_is_configured() -> None:
    play(fronted, "C: XCLIENT LOGIN=user\nS: 501 5.5.4 Attribute not offered")
    made = play(lambda: fronted(BELIEVING), "C: XCLIENT LOGIN=user\nS: 220 mx.example ESMTP")
    assert made.conn.identity == Identity("user", "user", "XCLIENT")
    assert made.conn.peer.login == "user"
    made.feed(b"EHLO c\r\nXCLIENT LOGIN=[UNAVAILABLE]\r\n")
    assert made.conn.identity is None


def test_a_refused_xclient_changes_nothing() -> None:
    made = session(FRONT, answers({XClient: Reply(550, "No")}), peer=TRUSTED)
    assert made.feed(b"XCLIENT NAME=x\r\n") == b"550 5.0.0 No\r\n"
    assert made.conn.peer == TRUSTED
    assert made.conn.state is State.READY


def test_the_new_client_may_be_refused_too() -> None:
    made = session(
        FRONT, answers({XClient: Reply(220), Connected: Reply(554, "Not you")}), peer=TRUSTED
    )
    assert made.feed(b"XCLIENT NAME=x\r\n") == b"554 Not you\r\n"
    assert made.feed(b"EHLO c\r\n").startswith(b"503 ")


def test_a_shutdown_while_xclient_is_pending() -> None:
    made = session(FRONT, wait, peer=TRUSTED)
    made.feed(b"XCLIENT NAME=x\r\n")
    made.conn.shutdown()
    made.conn.reply(Reply(220))
    assert made.run() == b"421 Service shutting down\r\n"
    assert made.closed is not None


def test_tls_forgets_what_xclient_said() -> None:
    made = session(replace(FRONT, starttls=True), BELIEVE, peer=TRUSTED)
    made.feed(b"XCLIENT NAME=x ADDR=198.51.100.7\r\nEHLO c\r\nSTARTTLS\r\n")
    made.conn.tls_started(TLS)
    assert made.conn.peer == TRUSTED


def test_strangers_are_not_offered_them() -> None:
    made = session(FRONT)
    assert {"XCLIENT", "XFORWARD", "PIPECONNECT"} & set(made.conn.extensions.keywords) == set()
    assert {"XCLIENT", "XFORWARD", "PIPECONNECT"} <= set(fronted().conn.extensions.keywords)
    for line in (b"XCLIENT NAME=x\r\n", b"XFORWARD NAME=x\r\n"):
        assert made.feed(line) == b"502 5.5.1 Command not implemented\r\n"


def test_xforward() -> None:
    made = play(
        fronted,
        r"""
        C: XFORWARD NAME=client.example ADDR=[UNAVAILABLE]
        S: 250 2.0.0 Noted
        C: XFORWARD
        S: 501 5.5.4 Bad argument of XFORWARD
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: XFORWARD NAME=other.example
        S: 503 5.5.1 Bad sequence of commands
        """,
    )
    [said] = [event for event in made.events if isinstance(event, XForward)]
    assert said.name == "client.example"
    assert isinstance(said.address, Unavailable)


def test_peculiar_attributes_raise_nothing() -> None:
    for attributes in (b"NAME=+41+42", b"name=x X-MORE=y", b"NAME=a  ADDR=1.2.3.4", b"HELO=\t"):
        made = fronted()
        assert made.feed(b"XCLIENT " + attributes + b"\r\n")[:3] in (b"220", b"501")


@pytest.mark.parametrize("required", ["require_auth", "require_tls"])
def test_a_trusted_proxy_speaks_before_tls_and_auth(required: str) -> None:
    """nginx in front of a submission service says who has logged in to it, and then MAIL."""
    config = replace(BELIEVING, **{required: True})
    made = session(config, BELIEVE, peer=TRUSTED)
    assert made.feed(b"XFORWARD NAME=x\r\n") == b"250 2.0.0 Noted\r\n"
    assert made.feed(b"MAIL FROM:<a@b.example>\r\n").startswith(b"530 ")
    assert made.feed(b"XCLIENT ADDR=198.51.100.7 LOGIN=user NAME=[UNAVAILABLE]\r\n").startswith(
        b"220 "
    )
    assert made.feed(b"EHLO c\r\n").startswith(b"250-")
    mail = made.feed(b"MAIL FROM:<a@b.example>\r\n")
    assert mail.startswith(b"250 " if required == "require_auth" else b"530 ")


def test_other_verbs_of_extensions_need_tls_and_auth() -> None:
    for required in ({"require_auth": True}, {"require_tls": True}):
        made = session(replace(QUEUES, **required), WILLING)
        assert made.feed(b"ETRN c.example\r\n").startswith(b"530 ")


# -- ETRN, ATRN, ONEX

QUEUES: Final = replace(
    RELAY,
    offer=(*RELAY.offer, ETRN, ATRN, ONEX),
    mechanisms=("PLAIN",),
    cleartext_without_tls=True,
)
WILLING: Final = answers(
    {
        Etrn: Reply(253, "2 messages"),
        Atrn: Reply(250, "Turning"),
        PasswordLogin: Reply(235, "Welcome"),
        ExtensionCommand: Reply(250, "OK"),
    }
)


def test_etrn() -> None:
    made = play(
        lambda: session(QUEUES, WILLING),
        r"""
        C: ETRN @c.example
        S: 253 2.0.0 2 messages
        C: ETRN
        S: 501 5.5.4 Bad argument of ETRN
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: ETRN c.example
        S: 503 5.5.1 Bad sequence of commands
        """,
    )
    assert made.events[0] == Etrn("c.example", "@")


def test_atrn_needs_authentication_and_ends_this_role() -> None:
    made = play(
        lambda: session(QUEUES, WILLING),
        r"""
        C: ATRN c.example
        S: 530 5.7.0 Authentication required
        C: AUTH PLAIN AHVzZXIAcGFzcw==
        S: 235 2.0.0 Welcome
        C: ATRN c.example
        S: 250 2.0.0 Turning
        """,
    )
    assert Atrn(("c.example",)) in made.events
    assert made.events[-1] == Closed(CloseReason.REVERSED)
    assert made.at(Need.CLOSE)


def test_atrn_refused_leaves_the_roles() -> None:
    for refusal in ((), Reply(450, "Nothing waits")):
        made = session(QUEUES, answers({PasswordLogin: Reply(235), Atrn: refusal}))
        made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\nATRN\r\n")
        assert made.feed(b"NOOP\r\n") == b"250 2.0.0 OK\r\n"


def test_a_shutdown_wins_over_atrn() -> None:
    made = session(QUEUES, answers({PasswordLogin: Reply(235), Atrn: wait}))
    made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\nATRN\r\n")
    made.conn.shutdown()
    made.conn.reply(Reply(250))
    made.run()
    assert made.closed is not None
    assert made.closed.reason is CloseReason.SHUTDOWN


def test_verbs_with_odd_blanks() -> None:
    for line in (b"ONEX", b"onex", b"ONEX ", b"ONEX\t", b"oNeX \t "):
        made = session(QUEUES, WILLING)
        assert made.feed(line + b"\r\n") == b"250 2.0.0 OK\r\n"
        assert made.events == [ExtensionCommand("ONEX")]


# -- a private extension

COUNT: Final = Verb("XCOUNT", int, str)
XCOUNT: Final = Extension("XCOUNT", "private", "counting", flag, no_parameter, verbs=(COUNT,))
MINE: Final = (XCOUNT,)


def test_a_private_extension_is_one_entry() -> None:
    def answer(conn: ServerConnection, command: Request) -> None:
        assert isinstance(command, ExtensionCommand)
        conn.reply(Reply(250, str(command.parsed(COUNT) + 1)))

    made = play(
        lambda: session(
            replace(RELAY, offer=(*RELAY.offer, XCOUNT)), answers({ExtensionCommand: answer})
        ),
        r"""
        C: XCOUNT 41
        S: 250 2.0.0 42
        C: XCOUNT many
        S: 501 5.5.4 Bad argument of XCOUNT
        C: MAIL FROM:<a@b.example>
        S: 250 2.1.0 Sender OK
        C: XCOUNT 1
        S: 250 2.0.0 2
        """,
    )
    assert "XCOUNT" in made.conn.extensions
    assert session().feed(b"XCOUNT 41\r\n") == b"500 5.5.1 Command not recognized\r\n"


def test_known_and_not_offered_is_502() -> None:
    made = session(replace(RELAY, registry=RELAY.registry + MINE))
    assert made.feed(b"XCOUNT 41\r\n") == b"502 5.5.1 Command not implemented\r\n"


@value
class Count(ExtensionRequest):
    verb = "XCOUNT"

    number: int


def test_its_verb_may_have_a_class_of_its_own() -> None:
    verb = Verb("XCOUNT", int, str, make=lambda argument: Count(int(argument)))
    entry = Extension("XCOUNT", "private", "counting", flag, no_parameter, verbs=(verb,))
    config = replace(RELAY, offer=(*RELAY.offer, entry))
    made = session(config, answers({Count: Reply(250, "Counted")}))
    assert made.feed(b"XCOUNT 41\r\n") == b"250 2.0.0 Counted\r\n"
    assert repr(made.events[0]) == repr(Count(41))
    made.answer = answers({})
    assert made.feed(b"XCOUNT 41\r\n") == b"550 5.7.1 Not permitted\r\n"


def test_its_place_in_a_group() -> None:
    config = replace(
        RELAY, offer=(*RELAY.offer, XCOUNT), policies={ViolationKind.PIPELINING: Policy.ANSWER}
    )
    made = session(config, WILLING)
    assert made.feed(b"XCOUNT 1\r\nRSET\r\n").startswith(b"503 5.5.1")
    config = replace(config, policies={ViolationKind.PIPELINING: Policy.CLOSE})
    made = session(config, WILLING)
    assert made.feed(b"XCOUNT 1\r\nRSET\r\n") == b"421 4.7.0 Protocol violation\r\n"


def test_a_question_behind_a_violation_is_asked_no_more_after_the_end() -> None:
    """The violation is told first; what ends the connection then takes the question away."""
    made = session(RELAY, wait)
    made.conn.receive_data(b"VRFY c\r\nRSET\r\n")
    first = made.conn.next_event()
    assert not isinstance(first, Request)
    made.conn.abort()
    made.run()
    assert made.events == [Closed(CloseReason.ABORTED)]
    with pytest.raises(LocalProtocolError):
        made.conn.reply()


def test_a_question_that_is_yet_to_be_told_cannot_be_answered() -> None:
    made = session(RELAY, wait)
    made.conn.receive_data(b"VRFY c\r\nRSET\r\n")
    violation = made.conn.next_event()
    assert isinstance(violation, ProtocolViolation)
    assert made.conn.replies_owed == 0
    with pytest.raises(LocalProtocolError, match="no question is pending"):
        made.conn.reply(Reply(550, "hits what nobody has seen"))
    question = made.conn.next_event()
    assert isinstance(question, Vrfy)
    assert made.conn.pending is question
    assert made.conn.replies_owed == 1
    made.conn.reply()
    made.run()
    assert made.sent.startswith(b"252 ")


@pytest.mark.parametrize("given", ["250 OK", 250, None, (250, "OK")])
def test_an_answer_is_a_reply(given: object) -> None:
    made = session(RELAY, wait)
    made.feed(b"VRFY c\r\n")
    with pytest.raises(TypeError, match=r"reply is .*: pass a Reply|object expected"):
        made.conn.reply(given)  # type: ignore[arg-type]  # what is tested
    assert made.conn.pending == Vrfy("c")
    made.conn.reply()
    assert made.conn.data_to_send().startswith(b"252 ")


def test_the_opposite_role_takes_over_what_has_come() -> None:
    made = session(QUEUES, WILLING)
    with pytest.raises(LocalProtocolError):
        made.conn.reverse(ClientConfig())
    made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
    made.conn.receive_data(b"ATRN c.example\r\n220 c.example ESMTP\r\n")
    made.conn.receive_data(b"")
    made.run()
    with pytest.raises(TypeError, match="config"):
        made.conn.reverse("c.example")  # type: ignore[arg-type]  # what is tested
    client = made.conn.reverse(ClientConfig())
    greeting = client.next_event()
    assert isinstance(greeting, Greeting)
    assert greeting.reply == Reply(220, "c.example ESMTP")
    assert client.eof_received
    with pytest.raises(LocalProtocolError):
        made.conn.reverse(ClientConfig())


def test_or_nothing() -> None:
    made = session(QUEUES, WILLING)
    made.feed(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\nATRN c.example\r\n")
    client = made.conn.reverse(ClientConfig())
    assert client.next_event() is Need.DATA
    assert not client.eof_received
