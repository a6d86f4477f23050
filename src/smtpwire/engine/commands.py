"""The commands, one row each, for both roles: who may send what when, and what answers it.

The states that a command leads from and to stand in :mod:`smtpwire.engine.state`; the usual
replies in :mod:`smtpwire.wire.sequences`. A verb of an extension has its row in its ``Verb``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, final

from smtpwire.engine.events import CommandQuestion, Connected, EndOfMessage
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.state import TRANSITIONS, State
from smtpwire.engine.timeouts import Timeouts
from smtpwire.sasl import (
    AnonymousLogin,
    AuthorizationRequest,
    ExternalLogin,
    PasswordLogin,
    SecretRequest,
    TokenLogin,
)
from smtpwire.wire.command import (
    VERBS,
    AnyVerb,
    Data,
    Expn,
    Hello,
    Mail,
    Rcpt,
    StartTls,
    Vrfy,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.sequences import COMMAND_REPLIES, END_OF_DATA, CommandReplies, TimeoutName
from smtpwire.wire.sequences import GREETING as GREETING_PHASE
from smtpwire.wire.value import Request

__all__ = ["BEGINNINGS", "COMMANDS", "GROUPED", "CommandRow", "extension_row"]


@final
class CommandRow:
    """What holds for one command, beside its grammar.

    ``word``: its name in ``TRANSITIONS``: a verb, ``BDAT LAST``, or a step in brackets that is no
    command. ``states``: those in which it may come.

    Both roles. ``grouped``: it may stand anywhere in a pipelined group, and its reply may wait for
    those behind it; any other command is the last of its group (RFC 2920 §3.1, §3.2). ``part``: it
    is a piece of the body, and behind it come further pieces only. ``replies``: the usual ones.
    ``positive``: the one code that says yes; 0: any 2yz. ``secret``: its argument is never shown.

    Server. ``asks``: the questions it becomes, or may become; an extension's own class is not among
    them. ``default``: the answer where the
    application has none. ``refusable``: the application may refuse it. ``before_tls``,
    ``before_auth``: it may come where the service requires TLS or AUTH first.
    ``begins``: what a client sends in the hope of it cannot be taken where it is refused.

    Client. ``joins``: it may be written behind grouped commands that have no reply yet. ``behind``:
    the other words behind which it may be written so. ``blocking``: nothing may be queued behind
    it, since what may follow depends on its reply. ``gated``: once the replies to the recipients
    are in, it is written only where one was accepted. ``counted``: its octets take up room in the
    window; those of a body do not. ``ends_body``: its reply is the one to the message. ``timeout``:
    the field of ``Timeouts`` that says how long its reply may take.
    """

    __slots__ = (
        "asks",
        "before_auth",
        "before_tls",
        "begins",
        "behind",
        "blocking",
        "counted",
        "default",
        "ends_body",
        "gated",
        "grouped",
        "intermediate",
        "joins",
        "part",
        "positive",
        "refusable",
        "replies",
        "seconds",
        "secret",
        "states",
        "timeout",
        "word",
    )

    def __init__(
        self,
        word: str,
        replies: CommandReplies,
        *,
        states: frozenset[State] | None = None,
        positive: int = 0,
        asks: tuple[type[Request], ...] = (),
        default: ReplyKind | Reply | None = None,
        refusable: bool = True,
        timeout: TimeoutName = "command",
        grouped: bool = False,
        part: bool = False,
        joins: bool = True,
        behind: frozenset[str] = frozenset(),
        blocking: bool = False,
        gated: bool = False,
        counted: bool = True,
        ends_body: bool = False,
        before_tls: bool = False,
        before_auth: bool = False,
        begins: bool = False,
        secret: bool = False,
    ) -> None:
        self.word: str = word
        self.replies: CommandReplies = replies
        self.states: frozenset[State] = _states_of(word) if states is None else states
        self.positive: int = positive
        self.asks: tuple[type[Request], ...] = asks
        self.default: ReplyKind | Reply | None = default
        self.refusable: bool = refusable
        self.timeout = timeout
        self.seconds: Callable[[Timeouts], float] = attrgetter(timeout)
        """The time-out of these :class:`Timeouts`, in seconds."""
        self.intermediate: bool = bool(replies.intermediate)
        """A 3yz may answer it."""
        self.grouped: bool = grouped
        self.part: bool = part
        self.joins: bool = joins
        self.behind: frozenset[str] = behind
        self.blocking: bool = blocking
        self.gated: bool = gated
        self.counted: bool = counted
        self.ends_body: bool = ends_body
        self.before_tls: bool = before_tls
        self.before_auth: bool = before_auth
        self.begins: bool = begins
        self.secret: bool = secret

    @property
    def verb(self) -> str:
        """The verb on the line; empty for a step that is no command."""
        return "" if self.word[0] == "(" else self.word.partition(" ")[0]

    def may_follow(self, before: CommandRow) -> bool:
        """Whether a client may write it behind that one, whose reply is still to come."""
        return before.word in self.behind or (before.grouped and self.joins and not before.part)

    def __repr__(self) -> str:
        return f"<the row of {self.word}>"

    def __reduce__(self) -> tuple[object, ...]:
        """A copy of a row of :data:`COMMANDS` is the row itself."""
        if COMMANDS.get(self.word) is self:
            return _row_of, (self.word,)
        given = {name: getattr(self, name) for name in GIVEN}
        return _made_again, (given,)


GIVEN: Final = (
    "asks",
    "before_auth",
    "before_tls",
    "begins",
    "behind",
    "blocking",
    "counted",
    "default",
    "ends_body",
    "gated",
    "grouped",
    "joins",
    "part",
    "positive",
    "refusable",
    "replies",
    "secret",
    "states",
    "timeout",
    "word",
)
"""What a row is made of; its other attributes follow from these."""


def _row_of(word: str) -> CommandRow:
    return COMMANDS[word]


def _made_again(given: dict[str, Any]) -> CommandRow:
    return CommandRow(**given)


def _states_of(word: str) -> frozenset[State]:
    return frozenset(state for state, row in TRANSITIONS.items() if word in row)


_CHUNKS: Final = frozenset({"BDAT", "BURL"})
_DOT: Final = "(end of data)"
# What may be written while the verdict on a message is still to come (RFC 2920 §3.1, RFC 3030 §2).
_BODIES: Final = _CHUNKS | {"BDAT LAST", "BURL LAST", _DOT}
_VERDICT: Final = COMMAND_REPLIES[END_OF_DATA]


def _table(rows: Iterable[CommandRow]) -> Mapping[str, CommandRow]:
    return {row.word: row for row in rows}


COMMANDS: Final[Mapping[str, CommandRow]] = _table(
    (
        CommandRow(
            "(greeting)",
            COMMAND_REPLIES[GREETING_PHASE],
            positive=220,
            asks=(Connected,),
            default=ReplyKind.GREETING,
            timeout="greeting",
        ),
        # Something follows only where an offer is relied on before the server has made it.
        CommandRow(
            "EHLO",
            COMMAND_REPLIES["EHLO"],
            positive=250,
            asks=(Hello,),
            default=ReplyKind.HELLO,
            blocking=True,
            before_tls=True,
            before_auth=True,
            begins=True,
        ),
        CommandRow(
            "HELO",
            COMMAND_REPLIES["HELO"],
            positive=250,
            asks=(Hello,),
            default=ReplyKind.HELLO,
            blocking=True,
            before_auth=True,
            begins=True,
        ),
        CommandRow(
            "LHLO",
            COMMAND_REPLIES["LHLO"],
            positive=250,
            asks=(Hello,),
            default=ReplyKind.HELLO,
            blocking=True,
            before_tls=True,
            before_auth=True,
            begins=True,
        ),
        CommandRow(
            "MAIL",
            COMMAND_REPLIES["MAIL"],
            asks=(Mail,),
            default=ReplyKind.SENDER_OK,
            timeout="mail",
            grouped=True,
            behind=frozenset({"EHLO", _DOT}),
            begins=True,
        ),
        CommandRow(
            "RCPT",
            COMMAND_REPLIES["RCPT"],
            asks=(Rcpt,),
            default=ReplyKind.RECIPIENT_OK,
            timeout="rcpt",
            grouped=True,
        ),
        CommandRow(
            "DATA",
            COMMAND_REPLIES["DATA"],
            positive=354,
            asks=(Data,),
            default=ReplyKind.SEND_DATA,
            timeout="data",
            gated=True,
        ),
        CommandRow(
            _DOT,
            _VERDICT,
            asks=(EndOfMessage,),
            default=ReplyKind.MESSAGE_OK,
            timeout="end_of_data",
            joins=False,
            counted=False,
            ends_body=True,
        ),
        CommandRow(
            "BDAT",
            COMMAND_REPLIES["BDAT"],
            asks=(Data,),
            default=ReplyKind.CHUNK_OK,
            timeout="block",
            grouped=True,
            part=True,
            joins=False,
            behind=_CHUNKS,
            counted=False,
        ),
        CommandRow(
            "BDAT LAST",
            _VERDICT,
            asks=(Data, EndOfMessage),
            default=ReplyKind.MESSAGE_OK,
            timeout="end_of_data",
            grouped=True,
            part=True,
            joins=False,
            behind=_CHUNKS,
            counted=False,
            ends_body=True,
        ),
        # RFC 4468 §3.2: BURL and BDAT mix, and the whole transaction may go in one group. Its file
        # is loaded where it is met.
        CommandRow(
            "BURL",
            CommandReplies((250,), (554,), source="RFC 4468 §5"),
            default=ReplyKind.REFUSED,
            timeout="block",
            grouped=True,
            part=True,
            behind=_CHUNKS,
            gated=True,
            secret=True,
        ),
        CommandRow(
            "BURL LAST",
            _VERDICT,
            default=ReplyKind.REFUSED,
            timeout="end_of_data",
            grouped=True,
            part=True,
            behind=_CHUNKS,
            gated=True,
            ends_body=True,
            secret=True,
        ),
        CommandRow(
            "RSET",
            COMMAND_REPLIES["RSET"],
            positive=250,
            asks=(CommandQuestion,),
            default=ReplyKind.RESET,
            refusable=False,  # RFC 5321 §4.1.1.5
            grouped=True,
            behind=_BODIES,
            before_auth=True,
        ),
        CommandRow(
            "NOOP",
            COMMAND_REPLIES["NOOP"],
            positive=250,
            asks=(CommandQuestion,),
            default=ReplyKind.NOOP,
            before_tls=True,
            before_auth=True,
        ),
        CommandRow(
            "HELP", COMMAND_REPLIES["HELP"], asks=(CommandQuestion,), default=ReplyKind.HELP
        ),
        CommandRow("VRFY", COMMAND_REPLIES["VRFY"], asks=(Vrfy,), default=ReplyKind.CANNOT_VERIFY),
        CommandRow("EXPN", COMMAND_REPLIES["EXPN"], asks=(Expn,), default=ReplyKind.CANNOT_EXPAND),
        CommandRow(
            "QUIT",
            COMMAND_REPLIES["QUIT"],
            positive=221,
            asks=(CommandQuestion,),
            default=ReplyKind.GOODBYE,
            refusable=False,  # RFC 5321 §4.1.1.10
            timeout="quit",
            behind=_BODIES,
            blocking=True,
            before_tls=True,
            before_auth=True,
        ),
        CommandRow(
            "STARTTLS",
            COMMAND_REPLIES["STARTTLS"],
            positive=220,
            asks=(StartTls,),
            default=ReplyKind.TLS_READY,
            blocking=True,
            before_tls=True,
            before_auth=True,
        ),
        CommandRow(
            "AUTH",
            COMMAND_REPLIES["AUTH"],
            positive=235,
            asks=(
                PasswordLogin,
                TokenLogin,
                ExternalLogin,
                AnonymousLogin,
                SecretRequest,
                AuthorizationRequest,
            ),
            default=ReplyKind.AUTH_FAILED,
            blocking=True,
            before_auth=True,
            begins=True,
            secret=True,
        ),
    )
)
"""Every command by its word; those of extensions have their rows by :func:`extension_row`."""

GROUPED: Final = frozenset(
    row.verb.encode() for row in COMMANDS.values() if row.grouped and row.verb.encode() in VERBS
)
"""The verbs of every session that may stand anywhere in a group (RFC 2920 §3.1, RFC 3030 §2)."""

BEGINNINGS: Final = frozenset(row.verb.encode() for row in COMMANDS.values() if row.begins)
"""The verbs behind which more is sent in the same group, in the hope that they succeed."""

_ANYWHERE: Final = frozenset({State.READY, State.MAIL, State.RCPT})
_OUTSIDE: Final = frozenset({State.READY})


def extension_row(verb: AnyVerb) -> CommandRow:
    """The row of a verb that an extension brings.

    A server asks nothing that is not a command of its own class: ``asks`` is empty.
    """
    return COMMANDS.get(verb.name) or CommandRow(
        verb.name,
        verb.replies,
        states=_ANYWHERE if verb.in_transaction else _OUTSIDE,
        positive=verb.positive,
        default=ReplyKind.REFUSED if verb.default is None else verb.default,
        timeout=verb.timeout,
        grouped=verb.grouped,
        blocking=verb.blocking,
        secret=verb.secret,
    )
