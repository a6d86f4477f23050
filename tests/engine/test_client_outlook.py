"""The outlook: where a queue leads is where the same commands lead when all succeed."""

from collections.abc import Mapping
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from tests.engine.client_dialogue import ALICE, BOB, CAROL, Dialogue

from smtpwire.engine.client.kinds import MAIL, OPEN, RCPT, RESPONSE, Kind
from smtpwire.engine.client.outlook import Outlook
from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.need import Need
from smtpwire.engine.state import STATE_GREETING, STATE_READY, State
from smtpwire.extensions.burl import Burl
from smtpwire.wire.command import (
    NO_PARAMETERS,
    Command,
    Data,
    Help,
    Mail,
    Noop,
    Rcpt,
    Rset,
    Vrfy,
)

ALL: Final = (*COMMANDS.values(), OPEN, RESPONSE)
COMMAND: Final = Noop()
MOST: Final = 12


def noted(outlook: Outlook, kind: Kind) -> bool:
    """Check a command of this kind and note it; False where it may not be sent."""
    try:
        target = outlook.check(kind)
    except LocalProtocolError:
        return False
    if kind is MAIL:
        outlook.note_mail(NO_PARAMETERS)
    elif kind is RCPT:
        outlook.note_rcpt()
    else:
        outlook.note(COMMAND, kind, target)
    assert outlook.leads_to is target
    return True


def ready() -> Outlook:
    outlook = Outlook()
    assert outlook.leads_to is STATE_GREETING
    outlook.settle(STATE_READY)
    return outlook


@given(st.lists(st.sampled_from(ALL), max_size=MOST))
def test_it_follows_the_table(queue: list[Kind]) -> None:
    outlook, state, closed = ready(), STATE_READY, False
    for kind in queue:
        legal = kind.word in state.commands
        assert noted(outlook, kind) is legal
        state = state.commands.get(kind.word, state)
        assert outlook.leads_to is state
        closed = closed or (kind.blocking and legal)
        assert outlook.closed_by is (COMMAND if closed else None)


@given(st.lists(st.sampled_from(ALL), max_size=MOST), st.integers(0, MOST))
def test_made_anew_of_what_is_left_it_is_the_same(wanted: list[Kind], answered: int) -> None:
    whole = ready()
    queue = [kind for kind in wanted if noted(whole, kind)]
    reached = ready()
    for kind in queue[:answered]:
        noted(reached, kind)
    # RCPTs of the transaction that is open in the state reached
    accepted = reached.recipients
    whole.replan(reached.leads_to, accepted, queue[answered:])
    again = ready()
    for kind in queue:
        noted(again, kind)
    assert (whole.leads_to, whole.recipients) == (again.leads_to, again.recipients)


def test_with_the_last_recipient_refused_there_is_no_way_to_a_body() -> None:
    outlook = ready()
    for kind in (MAIL, RCPT, RCPT):
        assert noted(outlook, kind)
    seen: list[State] = []
    earlier = outlook.transactions - 1  # its recipients are none of this one's
    for transaction in (earlier, outlook.transactions, outlook.transactions):
        outlook.recipient_refused(transaction)
        seen.append(outlook.leads_to)
    assert seen == [State.RCPT, State.RCPT, State.MAIL]


SENDABLE: Final[Mapping[str, Command]] = {
    "MAIL": Mail(ALICE),
    "RCPT": Rcpt(BOB),
    "another RCPT": Rcpt(CAROL),
    "DATA": Data(),
    "RSET": Rset(),
    "NOOP": Noop(),
    "HELP": Help(),
    "VRFY": Vrfy("bob"),
    "BURL": Burl("imap://example.com/x"),
    "BURL LAST": Burl("imap://example.com/x", last=True),
}


@given(st.lists(st.sampled_from([*SENDABLE]), max_size=MOST), st.booleans())
def test_a_queue_leads_where_its_replies_lead(wanted: list[str], pipelining: bool) -> None:
    offer = ["BURL imap", *(["PIPELINING"] if pipelining else [])]
    d = Dialogue()
    d.greeted(*offer)
    for word in wanted:
        try:
            d.conn.send(SENDABLE[word])
        except LocalProtocolError:
            continue
    outlook = d.conn._session.outlook
    leads_to = outlook.leads_to
    while True:
        written = d.flush()
        if d.need() is not Need.DATA:
            break
        for line in written.splitlines():
            d.receive("354 go" if line == b"DATA" else "250 OK")
    assert outlook.leads_to is d.conn.state is leads_to
