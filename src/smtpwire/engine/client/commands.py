"""How a client queues each command: it is checked against the state that it will meet."""

from __future__ import annotations

from collections.abc import Iterable

from smtpwire.engine.client.body import ChunkBody
from smtpwire.engine.client.kinds import (
    AUTH,
    BURL,
    BURL_LAST,
    DATA,
    HELLO,
    MAIL,
    OPEN,
    QUIT,
    RCPT,
    RESPONSE,
    RSET,
    STARTTLS,
    Kind,
)
from smtpwire.engine.client.outlook import Outlook
from smtpwire.engine.client.pipeline import Step
from smtpwire.engine.client.sasl import Exchange, encode_response
from smtpwire.engine.client.session import Session
from smtpwire.engine.commands import COMMANDS, extension_row
from smtpwire.engine.errors import LocalProtocolError, SessionLimitError, UnwritableError
from smtpwire.engine.events import EndOfData, Identity
from smtpwire.engine.state import (
    STATE_CHUNKS,
    STATE_CLOSED,
    STATE_DATA,
    STATE_GREETING,
    STATE_MAIL,
    STATE_RCPT,
    STATE_READY,
    State,
)
from smtpwire.extensions import parameters as p
from smtpwire.extensions.body import BODY_BINARYMIME
from smtpwire.extensions.burl import Burl
from smtpwire.sasl import ClientMechanism, SaslError, family
from smtpwire.wire.checked import checked
from smtpwire.wire.command import (
    COMMAND_LINE,
    NO_PARAMETERS,
    Auth,
    Bdat,
    Command,
    Data,
    Expn,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)

__all__ = [
    "before_tls",
    "queue",
    "queue_all",
    "queue_answer",
    "queue_auth",
]


def queue(session: Session, command: Command) -> None:
    """Queue a command, or raise LocalProtocolError; nothing has changed then."""
    if (
        session.outlook.closed_by is not None
        or session.refusal is not None
        or session.transaction.failed
    ):
        _check_open(session, command)
    if isinstance(command, Rcpt):
        _queue_rcpt(session, command)
    elif isinstance(command, Mail):
        _queue_mail(session, command)
    elif isinstance(command, Data):
        _queue_data(session, command)
    else:
        _queue_other(session, checked("command", command, Command))


def queue_all(session: Session, commands: Iterable[Command]) -> None:
    """Queue several commands, each where the one before it leads; where one is refused, none."""
    outlook, held, body = session.outlook, session.pipeline.held, session.body
    count, mark = len(held), outlook.mark()
    gathered = body.mark() if isinstance(body, ChunkBody) else None
    try:
        for command in commands:
            queue(session, command)
    except BaseException:
        del held[count:]
        outlook.restore(mark)
        session.body = body
        if isinstance(body, ChunkBody) and gathered is not None:
            body.restore(gathered)
            session.transaction.failed = False  # as of any whose body is open
        raise


def _check_open(session: Session, command: Command) -> None:
    """Raise LocalProtocolError where nothing may be queued now, or only what leads on."""
    outlook = session.outlook
    if session.state is STATE_CLOSED:
        raise LocalProtocolError("the connection has ended")
    if outlook.closed_by is not None:
        name = type(outlook.closed_by).__name__
        raise LocalProtocolError(f"nothing can be queued behind {name} before its reply")
    if session.refusal is not None and not isinstance(command, Quit):
        raise LocalProtocolError("the server refuses service: only Quit can be sent")
    if (
        session.transaction.failed
        and outlook.leads_to is STATE_CHUNKS
        and not isinstance(command, Rset | Hello | Quit | Noop | Help | Vrfy | Expn)
    ):
        raise LocalProtocolError("a chunk was refused, or given up: Rset is needed (RFC 3030 §2)")


def before_tls(verb: str) -> LocalProtocolError:
    """The error that a command is which may only be sent under TLS."""
    return LocalProtocolError(f"{verb} before TLS: ClientConfig.security forbids it")


def _line(command: Command) -> bytes:
    try:
        return command.__bytes__() + b"\r\n"
    except ValueError as error:
        raise UnwritableError(str(error)) from error


def _queue(
    session: Session, command: Command, kind: Kind, line: bytes, target: State, number: int = 0
) -> None:
    """``number``: of the transaction that the command belongs to."""
    session.pipeline.held.append(Step(command, kind, line, number))
    session.outlook.note(command, kind, target)


# -- a transaction: these are most of what is ever sent, and make no call that they can do without


def _queue_mail(session: Session, command: Mail) -> None:
    """MAIL opens a transaction."""
    outlook = session.outlook
    if outlook.leads_to is not STATE_READY:
        raise outlook.out_of_order("MAIL")
    if session.guarded:
        raise before_tls("MAIL")
    try:
        line = command.__bytes__() + b"\r\n"  # bytes(command) costs one more call
    except ValueError as error:
        raise UnwritableError(str(error)) from error
    parameters = command.parameters
    if (
        parameters is not NO_PARAMETERS
        or session.offered.limited
        or len(line) > COMMAND_LINE
        or not line.isascii()
    ):
        _check_mail(session, command, line)
    outlook.note_mail(parameters)
    session.pipeline.held.append(Step(command, MAIL, line, outlook.transactions))


def _check_mail(session: Session, command: Mail, line: bytes) -> None:
    offered = session.offered
    offered.check_mail(command.parameters)
    _check_requiretls(session, command)
    if not line.isascii() and p.SMTPUTF8 not in command.parameters:
        raise UnwritableError("MAIL beyond ASCII needs SMTPUTF8 (RFC 6531 §3.4)")
    offered.check_line("MAIL", line)
    limit = offered.limits.mailmax
    if limit is not None and session.outlook.mails >= limit:
        raise SessionLimitError(f"the server takes {limit} MAIL commands (RFC 9422 §4.1)")


def _check_requiretls(session: Session, command: Mail) -> None:
    if p.REQUIRETLS not in command.parameters:
        return
    tls = session.tls
    if tls is None or not (tls.verified or session.config.requiretls_without_verified_tls):
        raise UnwritableError("REQUIRETLS needs verified TLS (RFC 8689 §4.2.1)")


def _queue_rcpt(session: Session, command: Rcpt) -> None:
    """RCPT adds a recipient."""
    outlook = session.outlook
    state = outlook.leads_to
    if state is not STATE_RCPT and state is not STATE_MAIL:
        raise outlook.out_of_order("RCPT")
    try:
        line = command.__bytes__() + b"\r\n"
    except ValueError as error:
        raise UnwritableError(str(error)) from error
    if (
        command.parameters is not NO_PARAMETERS
        or session.offered.limited
        or len(line) > COMMAND_LINE
        or not line.isascii()
    ):
        _check_rcpt(session, command, line)
    outlook.note_rcpt()
    session.pipeline.held.append(Step(command, RCPT, line, outlook.transactions))


def _check_rcpt(session: Session, command: Rcpt, line: bytes) -> None:
    offered = session.offered
    offered.check_rcpt(command.parameters)
    if not line.isascii() and p.SMTPUTF8 not in session.outlook.parameters:
        raise UnwritableError("RCPT beyond ASCII needs SMTPUTF8 on MAIL (RFC 6531 §3.4)")
    offered.check_line("RCPT", line)
    limit = offered.limits.rcptmax
    if limit is not None and session.outlook.rcpts >= limit:
        raise SessionLimitError(
            f"the server takes {limit} RCPT commands a transaction (RFC 9422 §4.2)"
        )
    most = offered.limits.rcptdomainmax
    if most is not None:
        _count_domain(session.outlook, command.address.domain, most)


def _count_domain(outlook: Outlook, domain: str, most: int) -> None:
    domains = outlook.domains
    if domains is None:
        domains = outlook.domains = set()
    if domain not in domains and len(domains) >= most:
        raise SessionLimitError(f"the server takes {most} domains a session (RFC 9422 §4.3)")
    domains.add(domain)


def _queue_data(session: Session, command: Data) -> None:
    """DATA, or the body in chunks."""
    if command.chunking:
        _queue_chunks(session, command)
        return
    outlook = session.outlook
    if outlook.leads_to is not STATE_RCPT:
        raise outlook.out_of_order("DATA")
    parameters = outlook.parameters
    if parameters is not NO_PARAMETERS and parameters.get(p.BODY) is BODY_BINARYMIME:
        raise UnwritableError("BODY=BINARYMIME needs Data(chunking=True) (RFC 3030 §3)")
    outlook.settle(STATE_DATA)
    session.pipeline.held.append(Step(command, DATA, b"DATA\r\n", outlook.transactions))


def _queue_chunks(session: Session, command: Data) -> None:
    outlook = session.outlook
    if session.body is not None or session.pipeline.holds(OPEN):
        raise LocalProtocolError("the body is already open")
    target = outlook.check(OPEN)
    session.offered.check_offered("CHUNKING", "BDAT")
    _queue(session, command, OPEN, b"", target, outlook.transactions)


# -- everything else


def _queue_other(session: Session, command: Command) -> None:
    """Any command that is none of the three above."""
    match command:
        case Rset():
            _queue_plain(session, command, RSET)
        case Hello():
            _queue_hello(session, command)
        case Quit():
            _queue_plain(session, command, QUIT)
        case StartTls():
            _queue_starttls(session, command)
        case Noop() | Help():
            _queue_text(session, command)
        case Vrfy() | Expn():
            _queue_query(session, command)
        case Burl():
            _queue_burl(session, command)
        case Auth() | Bdat() | EndOfData():
            name = type(command).__name__
            raise LocalProtocolError(
                f"{name} is not sent as such: see authenticate(), send_body() and end_body()"
            )
        case _:
            _queue_extension(session, command)


def _give_up_chunks(session: Session) -> None:
    """The application gives the body up: what has not been cut into chunks is dropped.

    Were RSET or EHLO refused, the next chunk would go on with the message that was given up.
    """
    if isinstance(session.body, ChunkBody):
        session.close_body()
        session.transaction.failed = True


def _queue_plain(session: Session, command: Rset | Quit, kind: Kind) -> None:
    target = session.outlook.check(kind)
    _give_up_chunks(session)
    _queue(session, command, kind, _line(command), target)


def _queue_hello(session: Session, command: Hello) -> None:
    if session.config.lmtp is not (command.verb == "LHLO"):
        raise LocalProtocolError(f"{command.verb} is not of this protocol (RFC 2033 §4.1)")
    outlook = session.outlook
    if outlook.leads_to is STATE_GREETING:
        target = STATE_READY  # it is written when the greeting has come
    else:
        target = outlook.check(HELLO)
    line = _line(command)
    session.offered.check_line(command.verb, line)
    _give_up_chunks(session)
    _queue(session, command, HELLO, line, target)
    if session.offered.assumed:
        outlook.reopen()


def _queue_starttls(session: Session, command: StartTls) -> None:
    target = session.outlook.check(STARTTLS)
    if session.tls is not None:
        raise LocalProtocolError("TLS is already active (RFC 3207 §4.2)")
    if session.identity is not None:
        raise LocalProtocolError("STARTTLS after AUTH is refused by servers, and rightly")
    session.offered.check_offered("STARTTLS", "STARTTLS")
    _queue(session, command, STARTTLS, _line(command), target)


def _queue_text(session: Session, command: Noop | Help) -> None:
    kind = COMMANDS[command.verb]
    target = session.outlook.check(kind)
    line = _line(command)
    session.offered.check_line(command.verb, line)
    _queue(session, command, kind, line, target)


def _queue_query(session: Session, command: Vrfy | Expn) -> None:
    verb = command.verb
    kind = COMMANDS[verb]
    target = session.outlook.check(kind)
    if command.smtputf8:
        session.offered.check_offered("SMTPUTF8", f"{verb} SMTPUTF8")
    line = _line(command)
    session.offered.check_line(verb, line)
    _queue(session, command, kind, line, target)


def _queue_burl(session: Session, command: Burl) -> None:
    kind = BURL_LAST if command.last else BURL
    target = session.outlook.check(kind)
    line = _line(command)
    session.offered.check_offered("BURL", "BURL")
    session.offered.check_line("BURL", line)
    body = session.body
    if isinstance(body, ChunkBody):
        body.interrupt()
    if command.last:
        session.close_body()
    _queue(session, command, kind, line, target, session.outlook.transactions)


def _queue_extension(session: Session, command: Command) -> None:
    outlook, offered = session.outlook, session.offered
    line = _line(command)
    verb = line[:-2].partition(b" ")[0].upper().decode()
    kind = extension_row(offered.verb(verb))
    offered.check_line(verb, line)
    target = outlook.check_extension(kind)
    between = outlook.leads_to is STATE_READY
    if not line.isascii() and (between or p.SMTPUTF8 not in outlook.parameters):
        raise UnwritableError(f"{verb} beyond ASCII needs SMTPUTF8 on MAIL (RFC 6531 §3.3)")
    _queue(session, command, kind, line, target)


# -- AUTH


def queue_auth(
    session: Session, mechanism: ClientMechanism, authcid: str = "", authzid: str = ""
) -> Auth:
    """AUTH begins the exchange that the mechanism plays."""
    name = _name_of(mechanism)
    authcid = checked("authcid", authcid, str)
    authzid = checked("authzid", authzid, str)
    _check_open(session, Auth(name))
    target = session.outlook.check(AUTH)
    _check_mechanism(session, name)
    try:
        initial = mechanism.initial() if mechanism.client_first else None
    except SaslError as error:
        raise LocalProtocolError(str(error)) from error
    auth, is_sent = Auth(name), False
    if initial is not None:
        # RFC 4954 §4: an empty one is "=", and a long one waits for an empty challenge.
        with_response = Auth(name, encode_response(initial) or b"=")
        if len(bytes(with_response)) + 2 <= COMMAND_LINE:
            auth, is_sent = with_response, True
    line = _line(auth)
    identity = Identity(authcid, authzid or authcid, name)
    session.begin_exchange(Exchange(auth, mechanism, identity, initial, is_sent))
    _queue(session, auth, AUTH, line, target)
    return auth


def _check_mechanism(session: Session, name: str) -> None:
    """Raise LocalProtocolError where this mechanism must not be used now."""
    config, tls = session.config, session.tls
    if session.identity is not None:
        raise LocalProtocolError("already authenticated (RFC 4954 §4)")
    if session.guarded:
        raise before_tls("AUTH")
    if name not in session.offered.mechanisms:
        raise LocalProtocolError(f"AUTH {name}: the server does not offer this mechanism")
    if (
        family(name).cleartext
        and not (tls is not None and tls.verified)
        and not config.cleartext_authentication_without_verified_tls
    ):
        raise LocalProtocolError(f"AUTH {name} needs verified TLS (RFC 4954 §4, RFC 8314 §5)")


def _name_of(mechanism: ClientMechanism) -> str:
    """Its name, if it is a mechanism at all: credentials are none."""
    given: object = mechanism
    name = getattr(given, "name", None)
    if not (isinstance(name, str) and hasattr(given, "step") and hasattr(given, "initial")):
        kind = type(given).__name__
        raise TypeError(f"mechanism is a {kind}: pass what sasl.client_mechanism() gives")
    return name


def queue_answer(session: Session, exchange: Exchange, line: bytes) -> None:
    """A line of the exchange: a response, or ``*``."""
    session.pipeline.held.append(Step(exchange.auth, RESPONSE, line + b"\r\n"))
