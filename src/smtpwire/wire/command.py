"""Commands as values: what a client sends and a server's application receives.

RFC 5321 §4.1.1. Each command knows how it is written, ``bytes(command)`` without the line end;
:func:`parse_command` is the inverse. Those which need a decision of the server's application are
:class:`Request`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, final

from smtpwire.wire.address import (
    DOT_STRING,
    LABEL,
    Address,
    PathError,
    PathErrorKind,
    parse_domain,
    parse_path,
    proven_address,
    written_address,
)
from smtpwire.wire.checked import check_keyword, checked, type_of
from smtpwire.wire.error import SmtpwireError
from smtpwire.wire.octets import CONTROLS, parse_number
from smtpwire.wire.parameter import (
    GIVEN_TWICE,
    AnyParameter,
    ParameterError,
    Parameters,
    format_parameters,
    parse_parameters,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.secrets import REDACTED, shown_argument
from smtpwire.wire.sequences import CommandReplies, TimeoutName
from smtpwire.wire.value import Request, field, maker, value

__all__ = [
    "COMMAND_LINE",
    "NO_PARAMETERS",
    "PLAIN_LINE",
    "PLAIN_LINE_LIMIT",
    "VERBS",
    "AnyVerb",
    "Auth",
    "Bdat",
    "Command",
    "CommandError",
    "Data",
    "Expn",
    "ExtensionCommand",
    "ExtensionRequest",
    "Grammar",
    "Hello",
    "Help",
    "Leniency",
    "Mail",
    "Noop",
    "Quit",
    "Rcpt",
    "Rset",
    "StartTls",
    "Verb",
    "Vrfy",
    "parse_command",
    "plain_command",
]

T = TypeVar("T")


class Command:
    """What every command is: a value that knows its line, ``bytes(command)``, without CRLF.

    Its constructor raises TypeError for an argument of the wrong type (an address is an
    :class:`Address`, no str), ``bytes`` ValueError where one would not survive the wire: a control,
    octets that need an extension, a character that would end the argument early.
    """

    __slots__ = ()

    @property
    def verb(self) -> str:
        """The verb, in upper case; the table of commands (``engine.commands``) has its row."""
        return bytes(self).partition(b" ")[0].decode()

    def __bytes__(self) -> bytes:
        raise NotImplementedError


class ExtensionRequest(Request, Command):
    """A command that an extension brings, and a question: ``case ExtensionRequest()`` takes all.

    ``verb`` tells which; by default each is answered as its :class:`Verb` says. ``special`` names
    what the engines do for it beyond that; it is empty for an extension of your own.
    """

    __slots__ = ()
    special: ClassVar[str] = ""


NO_PARAMETERS: Final = Parameters()
"""What a command without parameters has: this very object, so that ``is`` tells."""
COMMAND_LINE: Final = 512
"""Octets of a command line with its CRLF, without extensions (RFC 5321 §4.5.3.1.4)."""


def _text(name: str, argument: str) -> bytes:
    """An argument as it goes on the wire; ValueError where it would end or split the line."""
    if not argument.isprintable() and CONTROLS.search(argument):
        raise ValueError(f"{name} holds a control character: {argument!r} (RFC 5321 §4.1.2)")
    try:
        return argument.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds a lone surrogate: {argument!r} (RFC 3629 §3)") from None


def _argument(verb: str, argument: str) -> bytes:
    """An argument that goes to the end of the line: it comes back as it was."""
    if argument.startswith(" ") or argument.endswith(" "):
        raise ValueError(f"{verb}: blanks around the argument are lost (RFC 5321 §4.1.1)")
    return _text(verb, argument)


def _free_text(verb: str, text: str) -> bytes:
    if not text:
        return verb.encode()
    if not text.isascii():
        raise ValueError(f"{verb} takes ASCII only, also with SMTPUTF8 (RFC 6531 §3.6)")
    return verb.encode() + b" " + _argument(verb, text)


@final
@value(typed=True)
class Hello(Request, Command):
    """EHLO, HELO or LHLO with the client's name: a domain or an address literal (§4.1.1.1).

    ``name``: as it was said, unproven. ``verb``: which of the three.
    """

    name: str
    verb: Literal["EHLO", "HELO", "LHLO"] = "EHLO"

    def __bytes__(self) -> bytes:
        argument = _text("the EHLO name", self.name)
        if not self.name or b" " in argument or not argument.isascii():
            raise ValueError(
                f"{self.name!r} is neither a domain nor an address literal (RFC 5321 §4.1.1.1)"
            )
        return self.verb.encode() + b" " + argument


@final
@value(typed=True)
class Mail(Request, Command):
    """MAIL: opens a transaction with the reverse-path; None is the null one, ``<>`` (§4.1.1.2).

    A reverse-path has a domain, so a bare ``Postmaster`` cannot be one.

    ``address``: the reverse-path. ``parameters``: what the command says besides, by keyword.
    """

    verb = "MAIL"

    address: Address | None
    parameters: Parameters = NO_PARAMETERS

    def __bytes__(self) -> bytes:
        address = self.address
        path = b"" if address is None else written_address(address)
        if address is not None and not address.domain:
            raise ValueError("a reverse-path has a domain (RFC 5321 §4.1.2)")
        parameters = self.parameters
        tail = b"" if parameters is NO_PARAMETERS else _tail(parameters)
        return b"MAIL FROM:<%b>%b" % (path, tail)


@final
@value(typed=True)
class Rcpt(Request, Command):
    """RCPT: one recipient by its forward-path (RFC 5321 §4.1.1.3).

    ``address``: the forward-path; its domain is "" for the bare ``Postmaster``. ``parameters``:
    what the command says besides, by keyword.
    """

    verb = "RCPT"

    address: Address
    parameters: Parameters = NO_PARAMETERS

    def __bytes__(self) -> bytes:
        parameters = self.parameters
        tail = b"" if parameters is NO_PARAMETERS else _tail(parameters)
        return b"RCPT TO:<%b>%b" % (written_address(self.address), tail)


proven_mail: Final = maker(Mail)
proven_rcpt: Final = maker(Rcpt)
"""Make the two commands of an address and parameters that have been proved; nothing is checked."""


def _tail(parameters: Parameters) -> bytes:
    """What stands behind the path."""
    return b" " + format_parameters(parameters).encode() if parameters else b""


@final
@value(typed=True)
class Data(Request, Command):
    """The body begins: DATA (RFC 5321 §4.1.1.4), or the first BDAT (``chunking``, RFC 3030).

    Asked once a message. A client that sends ``Data(chunking=True)`` writes nothing yet: its
    chunks are the commands.
    """

    verb = "DATA"

    chunking: bool = False

    def __bytes__(self) -> bytes:
        return b"DATA"


@final
@value(typed=True)
class Bdat(Command):
    """One chunk of ``size`` octets that follow the line at once (RFC 3030 §2).

    ``last``: the message ends with it.
    """

    verb = "BDAT"

    size: int
    last: bool = False

    def __bytes__(self) -> bytes:
        if self.size < 0:
            raise ValueError(f"a chunk has no {self.size} octets (RFC 3030 §2)")
        return b"BDAT %d LAST" % self.size if self.last else b"BDAT %d" % self.size


@final
@value
class Rset(Command):
    """RSET: the transaction is forgotten (RFC 5321 §4.1.1.5)."""

    verb = "RSET"

    def __bytes__(self) -> bytes:
        return b"RSET"


@final
@value(typed=True)
class Noop(Command):
    """NOOP; its text means nothing (RFC 5321 §4.1.1.9)."""

    verb = "NOOP"

    text: str = ""

    def __repr__(self) -> str:
        return f"Noop(text={shown_argument(self.text)!r})"

    def __bytes__(self) -> bytes:
        return _free_text("NOOP", self.text)


@final
@value
class Quit(Command):
    """QUIT: the client has done (RFC 5321 §4.1.1.10)."""

    verb = "QUIT"

    def __bytes__(self) -> bytes:
        return b"QUIT"


@final
@value(typed=True)
class Help(Command):
    """HELP, with a topic or without (RFC 5321 §4.1.1.8)."""

    verb = "HELP"

    topic: str = ""

    def __repr__(self) -> str:
        return f"Help(topic={shown_argument(self.topic)!r})"

    def __bytes__(self) -> bytes:
        return _free_text("HELP", self.topic)


@final
@value(typed=True)
class Vrfy(Request, Command):
    """VRFY: is there such a mailbox? (RFC 5321 §4.1.1.6; ``smtputf8``: RFC 6531 §3.7.4).

    ``argument``: a user or a mailbox, as it was said.
    """

    verb = "VRFY"

    argument: str
    smtputf8: bool = False

    def __repr__(self) -> str:
        return f"Vrfy(argument={shown_argument(self.argument)!r}, smtputf8={self.smtputf8})"

    def __bytes__(self) -> bytes:
        return _query("VRFY", self.argument, self.smtputf8)


@final
@value(typed=True)
class Expn(Request, Command):
    """EXPN: who is on this list? (RFC 5321 §4.1.1.7; ``smtputf8``: RFC 6531 §3.7.4).

    ``argument``: the list, as it was said.
    """

    verb = "EXPN"

    argument: str
    smtputf8: bool = False

    def __repr__(self) -> str:
        return f"Expn(argument={shown_argument(self.argument)!r}, smtputf8={self.smtputf8})"

    def __bytes__(self) -> bytes:
        return _query("EXPN", self.argument, self.smtputf8)


def _query(verb: str, argument: str, smtputf8: bool) -> bytes:
    if not argument.strip(" ") or argument != argument.strip(" "):
        raise ValueError(f"{verb} needs a string without blanks around it (RFC 5321 §4.1.1.6)")
    octets = _text(verb, argument)
    if not octets.isascii() and not smtputf8:
        raise ValueError(f"{argument!r} needs the SMTPUTF8 parameter (RFC 6531 §3.7.4)")
    if not smtputf8 and octets[-9:].upper() == b" SMTPUTF8":
        raise ValueError(f"{verb}: the end of the string would be read as a parameter")
    return verb.encode() + b" " + octets + (b" SMTPUTF8" if smtputf8 else b"")


@final
@value
class StartTls(Request, Command):
    """STARTTLS (RFC 3207 §4)."""

    verb = "STARTTLS"

    def __bytes__(self) -> bytes:
        return b"STARTTLS"


@final
@value(typed=True)
class Auth(Command):
    """AUTH with the mechanism's name; a response is in base64 and secret (RFC 4954 §4).

    ``mechanism``: its name, in upper case. ``initial_response``: in base64; None: the server is to
    ask for it; ``b"="``: an empty one.
    """

    verb = "AUTH"

    mechanism: str
    initial_response: bytes | None = field(default=None, repr=False)

    def __bytes__(self) -> bytes:
        if re.fullmatch(r"[A-Z0-9_-]{1,20}", self.mechanism) is None:
            raise ValueError(f"{self.mechanism!r} is not a mechanism name (RFC 4422 §3.1)")
        line = b"AUTH " + self.mechanism.encode()
        response = self.initial_response
        if response is None:
            return line
        if re.fullmatch(rb"[!-~]+", response) is None:
            raise ValueError("the initial response is not base64 (RFC 4954 §4)")
        return line + b" " + response


class AnyVerb:
    """A verb of an extension, its argument's type not known: what registries hold."""

    __slots__ = ()
    name: str
    grouped: bool
    in_transaction: bool
    blocking: bool
    secret: bool
    replies: CommandReplies
    positive: int
    default: Reply | None
    timeout: TimeoutName

    def command(self, argument: str) -> ExtensionRequest:
        """The command the argument makes; ValueError where it is malformed (501)."""
        raise NotImplementedError


_ANY_REPLIES: Final = CommandReplies((250,), ())


@final
@value(checked=True)
class Verb(AnyVerb, Generic[T]):
    """A verb that an extension brings: its grammar, and its row of the table of commands.

    ``parse`` and ``format`` are the two directions of its argument's grammar; ``parse`` raises
    ValueError for a malformed argument (501). ``make`` builds the command from the argument where
    it has a class of its own, else the command is an :class:`ExtensionCommand`.

    ``grouped``: the verb may stand anywhere in a pipelined group; else only last (RFC 2920 §3.1's
    rule for every extension that says nothing else). ``in_transaction``: it may stand between MAIL
    and the end of the data. ``blocking``: what may follow depends on its reply, so that a client
    queues nothing behind it. ``secret``: its argument holds a secret, which no trace, event or log
    shows. ``replies``: the usual ones. ``positive``: the one code that says yes; 0: any 2yz.
    ``default``: what a server answers whose application has no answer of its own; None: 550 5.7.1.
    ``timeout``: how long a client waits for the reply, by the name of a field of ``Timeouts``.

    Raises ValueError for a name that no line can have, or that is not in upper case.
    """

    name: str
    parse: Callable[[str], T]
    format: Callable[[T], str]
    make: Callable[[str], ExtensionRequest] | None = None
    grouped: bool = False
    in_transaction: bool = True
    blocking: bool = False
    secret: bool = False
    replies: CommandReplies = _ANY_REPLIES
    positive: int = 0
    default: Reply | None = None
    timeout: TimeoutName = "command"

    def __post_init__(self) -> None:
        check_keyword("Verb.name", self.name)

    def command(self, argument: str) -> ExtensionRequest:
        self.parse(argument)
        if self.make is not None:
            return self.make(argument)
        return ExtensionCommand(self.name, argument, self.secret)

    def __call__(self, argument: T) -> ExtensionCommand:
        """The command with this argument, to be sent.

        Raises TypeError for what its ``format`` does not take, ValueError where what it makes could
        not be read again.
        """
        try:
            command = ExtensionCommand(self.name, self.format(argument), self.secret)
        except (AttributeError, TypeError):
            raise TypeError(f"{self.name} does not take {type_of(argument)}") from None
        command.parsed(self)
        return command

    def __repr__(self) -> str:
        return f"Verb({self.name})"


@final
@value(typed=True)
class ExtensionCommand(ExtensionRequest):
    """A command of an extension without a class of its own: the verb and its argument as text.

    ``secret``: the argument holds a secret; its verb says so (``Verb.secret``).
    """

    verb: str
    argument: str = ""
    secret: bool = field(default=False, compare=False)

    def __repr__(self) -> str:
        argument = REDACTED if self.secret else shown_argument(self.argument)
        return f"ExtensionCommand(verb={self.verb!r}, argument={argument!r})"

    def parsed(self, verb: Verb[T]) -> T:
        """The argument by its grammar; ValueError where it has another, or another verb's."""
        if checked("verb", verb, Verb).name != self.verb:
            raise ValueError(f"this is {self.verb}, not {verb.name}")
        try:
            return verb.parse(self.argument)
        except ValueError as error:
            what = REDACTED if self.secret else repr(self.argument)
            text = f"{what} is no argument of {self.verb}"
            raise ValueError(text if self.secret else f"{text}: {error}") from None

    def __bytes__(self) -> bytes:
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", self.verb) is None:
            raise ValueError(f"{self.verb!r} is not a verb (RFC 5321 §4.1.1)")
        if not self.argument:
            return self.verb.encode()
        return self.verb.encode() + b" " + _argument(self.verb, self.argument)


@final
@value(checked=True)
class Leniency:
    """What is taken beyond the grammar, each by name; all off is RFC 5321 to the letter.

    Line ends and the end of the data have no switch: those are never negotiable.
    """

    blank_after_colon: bool = False
    """``MAIL FROM: <a@b.example>`` (printers, how-tos)."""
    missing_brackets: bool = False
    """``MAIL FROM:a@b.example``."""
    odd_hello_names: bool = False
    """EHLO names with underscores and the like; never blanks or controls."""
    odd_addresses: bool = False
    """Dots at the ends or in a row in a local-part, underscores in a domain.

    A client writes such a local-part in quotes.
    """


@final
@value
class Grammar:
    """What the commands of a session are read against; it follows from what is offered.

    ``mail``, ``rcpt``: the parameters that MAIL and RCPT may have, by keyword in upper case.
    ``verbs``: those of extensions, in upper case. ``leniency``: which slips are overlooked.
    """

    mail: Mapping[str, AnyParameter] = field(default_factory=dict)
    rcpt: Mapping[str, AnyParameter] = field(default_factory=dict)
    verbs: Mapping[bytes, AnyVerb] = field(default_factory=dict)
    command_line: int = COMMAND_LINE
    """Octets of a command line with its CRLF where no extension lengthens it."""
    recognized: frozenset[bytes] = frozenset()
    """Verbs known but not implemented here: 502 instead of 500 (RFC 5321 §4.2.4)."""
    line_limits: Mapping[bytes, int] = field(default_factory=dict)
    """The same for verbs which an extension lengthens (RFC 5321 §4.5.3.1.4)."""
    smtputf8: bool = False
    """SMTPUTF8 is offered (RFC 6531)."""
    leniency: Leniency = field(default_factory=Leniency)


@final
class CommandError(SmtpwireError, ValueError):
    """Why a line is no command: the reply code and enhanced code it deserves, and the reason.

    ``verb`` is the line's verb in upper case where it is a known one, else empty.
    """

    def __init__(self, code: int, enhanced: str, reason: str, verb: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.enhanced = enhanced
        self.reason = reason
        self.verb = verb


_BLANKS: Final = (0x20, 0x09)


def parse_command(line: bytes, grammar: Grammar, *, utf8: bool = False) -> Command:
    """The command a line is, given without its CRLF.

    ``utf8``: the transaction has SMTPUTF8, so that paths may hold UTF-8 (RFC 6531 §3.3).
    Raises CommandError, with 500 for an unknown verb or an over-long line, 502 for a verb known
    but not implemented, 501, 553 or 555 for an argument (RFC 5321 §4.2.4, §4.3.2).
    """
    make = _WITHOUT_ARGUMENT.get(line)
    if make is not None:
        return make()
    if line and line[-1] in _BLANKS:
        line = line.rstrip(b" \t")  # RFC 5321 §4.1.1: tolerate trailing white space
    verb, _, argument = line.partition(b" ")
    verb = verb.upper()
    if len(line) + 2 > grammar.command_line and len(line) + 2 > grammar.line_limits.get(verb, 0):
        raise CommandError(500, "5.5.2", "Line too long")
    if argument[:1] == b" ":
        argument = argument.lstrip(b" ")
    parser = _PARSERS.get(verb)
    if parser is not None:
        return parser(argument, grammar, utf8)
    extension = grammar.verbs.get(verb)
    if extension is not None:
        return _extension_command(extension, argument, utf8)
    if verb in grammar.recognized or verb in _NEVER_IMPLEMENTED:
        raise CommandError(502, "5.5.1", "Command not implemented", verb.decode())
    raise CommandError(500, "5.5.1", "Command not recognized")


PLAIN_LINE: Final = re.compile(
    rb"(?:(MAIL FROM)|RCPT TO):<((%b)@%b(?:\.%b)*)>\r\n|DATA\r\n" % (DOT_STRING, LABEL, LABEL)
)
"""The common lines in one match: no parameters, no quotes, no literal, no source route.

:func:`plain_command` takes its groups; where the path is None, the line is DATA.
"""
PLAIN_LINE_LIMIT: Final = len(b"RCPT TO:<") + 63 + len(b"@x>\r\n")
"""Octets of such a line with its CRLF that cannot hold a local-part or a label over its limit."""


def plain_command(groups: tuple[bytes | Any, ...]) -> Command:
    """The command that :data:`PLAIN_LINE` matches, as :func:`parse_command` would make it."""
    mail, path, local_part = groups
    if path is None:
        return Data()
    raw = path.decode()
    at = len(local_part)
    address = proven_address(raw[:at], raw[at + 1 :].lower(), raw)
    if mail is None:
        return proven_rcpt(address, NO_PARAMETERS)
    return proven_mail(address, NO_PARAMETERS)


def _bad_argument(verb: str, reason: str) -> CommandError:
    return CommandError(501, "5.5.4", reason, verb)


def _decoded(verb: str, argument: bytes, *, utf8: bool = False) -> str:
    """An argument as text without controls; octets beyond ASCII only where UTF-8 is agreed."""
    try:
        text = argument.decode("utf-8" if utf8 else "ascii")
    except UnicodeDecodeError:
        raise _bad_argument(verb, "Octets outside ASCII in the argument") from None
    if CONTROLS.search(text):
        raise _bad_argument(verb, "Control characters in the argument")
    return text


def _hello(
    verb: Literal["EHLO", "HELO", "LHLO"],
) -> Callable[[bytes, Grammar, bool], Command]:
    def parse(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
        # RFC 6531 §3.7.1: the name stays ASCII even where SMTPUTF8 is offered.
        name = parse_domain(argument, lenient=grammar.leniency.odd_hello_names)
        if name is None:
            raise _bad_argument(verb, f"{verb} needs a domain or an address literal")
        return Hello(name, verb)

    return parse


def _split_path(
    verb: str, start: bytes, argument: bytes, leniency: Leniency
) -> tuple[bytes, bytes]:
    """The octets between the angle brackets, and what stands behind them."""
    size = len(start)
    if argument[: size + 1].upper() == start + b"<" and argument.find(b">") == len(argument) - 1:
        return argument[size + 1 : -1], b""  # the common case: no parameters
    if argument[:size].upper() != start:
        raise _bad_argument(verb, f"Expected {verb} {start.decode()}<path>")
    rest = argument[size:]
    if leniency.blank_after_colon and rest[:1] == b" ":
        rest = rest.lstrip(b" ")
    if rest[:1] == b"<":
        end = rest.find(b">") + 1  # no path has one inside: see Address
        path, rest = rest[1 : end - 1], rest[end:]
    elif leniency.missing_brackets and rest:
        path, _, rest = rest.partition(b" ")
        end = len(path)
        rest = b" " + rest
    else:
        end = 0
    if not end:
        raise _bad_argument(verb, f"Expected {verb} {start.decode()}<path>")
    if rest and rest[:1] != b" ":
        raise _bad_argument(verb, "Expected a blank behind the path")
    return path, rest


def _parse_mail(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
    path, rest = _split_path("MAIL", b"FROM:", argument, grammar.leniency)
    parameters = NO_PARAMETERS
    utf8 = False
    if rest:
        utf8 = grammar.smtputf8 and b" SMTPUTF8" in rest.upper()  # the keyword whole: checked below
        parameters = _parameters("MAIL", rest, grammar.mail, utf8)
        utf8 = utf8 and any(item.keyword == "SMTPUTF8" for item in parameters)
    if not path:
        return Mail(None, parameters)  # RFC 5321 §4.5.5: the null reverse-path
    return Mail(_address("MAIL", path, grammar, utf8, postmaster=False), parameters)


def _parse_rcpt(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
    path, rest = _split_path("RCPT", b"TO:", argument, grammar.leniency)
    parameters = _parameters("RCPT", rest, grammar.rcpt, utf8) if rest else NO_PARAMETERS
    return Rcpt(_address("RCPT", path, grammar, utf8, postmaster=True), parameters)


def _parameters(
    verb: str, rest: bytes, known: Mapping[str, AnyParameter], utf8: bool
) -> Parameters:
    text = _decoded(verb, rest, utf8=utf8)
    try:
        return parse_parameters(text, known)
    except ParameterError as error:
        if error.unknown:  # RFC 5321 §4.1.1.11
            raise CommandError(555, "5.5.4", "Parameter not recognized", verb) from None
        if not error.keyword:
            raise _bad_argument(verb, "A parameter is KEYWORD or KEYWORD=value") from None
        fault = "Repeated" if error.reason == GIVEN_TWICE else "Bad"
        raise _bad_argument(verb, f"{fault} parameter: {error.keyword}") from None


_PATH_ERRORS: Final[Mapping[PathErrorKind, tuple[int, str]]] = {
    PathErrorKind.SYNTAX: (501, "{}"),
    PathErrorKind.TOO_LONG: (501, "{}"),  # RFC 5321 §4.5.3.1.9
    PathErrorKind.NON_ASCII: (553, "5.6.7"),  # RFC 6531 §3.5
    PathErrorKind.INVALID_UTF8: (501, "{}"),
}


def _address(verb: str, path: bytes, grammar: Grammar, utf8: bool, *, postmaster: bool) -> Address:
    try:
        return parse_path(
            path, utf8=utf8, postmaster=postmaster, lenient=grammar.leniency.odd_addresses
        )
    except PathError as error:
        code, enhanced = _PATH_ERRORS[error.kind]
        if error.kind is PathErrorKind.NON_ASCII and not grammar.smtputf8:
            code, enhanced = 501, "{}"  # RFC 5321 §4.1.2: invalid characters
        # X.1.7 is the sender's syntax, X.1.3 the recipient's (RFC 3463 §3.2).
        enhanced = enhanced.format("5.1.3" if postmaster else "5.1.7")
        raise CommandError(code, enhanced, error.reason, verb) from None


def _parse_query(
    verb: str, make: Callable[[str, bool], Command]
) -> Callable[[bytes, Grammar, bool], Command]:
    def parse(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
        smtputf8 = grammar.smtputf8 and argument[-9:].upper() == b" SMTPUTF8"
        if smtputf8:
            argument = argument[:-9].rstrip(b" ")
        text = _decoded(verb, argument, utf8=smtputf8)
        if not text:
            raise _bad_argument(verb, f"{verb} needs an argument")
        return make(text, smtputf8)

    return parse


def _parse_without_argument(
    verb: str, make: Callable[[], Command]
) -> Callable[[bytes, Grammar, bool], Command]:
    def parse(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
        if argument:  # RFC 5321 §4.3.2, RFC 3207 §4: 501
            raise _bad_argument(verb, f"{verb} takes no argument")
        return make()

    return parse


def _parse_noop(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
    return Noop(_decoded("NOOP", argument))


def _parse_help(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
    return Help(_decoded("HELP", argument))


_AUTH: Final = rb"([A-Za-z0-9_-]{1,20}+)(?: ++([!-~]++))?"  # compiled when first used


def _parse_auth(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
    match = re.fullmatch(_AUTH, argument)
    if match is None:
        raise _bad_argument("AUTH", "Expected AUTH mechanism [initial-response]")
    return Auth(match[1].upper().decode(), match[2])


_BDAT: Final = re.compile(rb"([0-9]{1,20})(?: ++(LAST))?", re.IGNORECASE)


def _parse_bdat(argument: bytes, grammar: Grammar, utf8: bool) -> Command:
    match = _BDAT.fullmatch(argument)
    if match is None:
        raise _bad_argument("BDAT", "Expected BDAT size [LAST]")
    return Bdat(int(match[1]), match[2] is not None)  # 20 digits at most, and ASCII


_CHUNK: Final = rb"BDAT ++([0-9]{1,20})(?: |\Z)"  # compiled when first used


def chunk_size(line: bytes) -> int | None:
    """How many octets follow a BDAT line, even a malformed one; None where it does not say.

    What stands behind the size does not matter: ``BDAT 5 FIRST`` has five octets behind it.
    """
    match = re.match(_CHUNK, line, re.IGNORECASE)
    return None if match is None else parse_number(match[1].decode())


def _extension_command(verb: AnyVerb, argument: bytes, utf8: bool) -> Command:
    text = _decoded(verb.name, argument, utf8=utf8)
    try:
        return verb.command(text)
    except ValueError:
        raise _bad_argument(verb.name, f"Bad argument of {verb.name}") from None


_NEVER_IMPLEMENTED: Final = frozenset({b"SEND", b"SOML", b"SAML", b"TURN"})  # RFC 5321 App. F.6

# As they are mostly written; anything else is parsed.
_WITHOUT_ARGUMENT: Final[Mapping[bytes, Callable[[], Command]]] = {
    b"DATA": Data,
    b"RSET": Rset,
    b"NOOP": Noop,
    b"QUIT": Quit,
}

_PARSERS: Final[Mapping[bytes, Callable[[bytes, Grammar, bool], Command]]] = {
    b"EHLO": _hello("EHLO"),
    b"HELO": _hello("HELO"),
    b"LHLO": _hello("LHLO"),
    b"MAIL": _parse_mail,
    b"RCPT": _parse_rcpt,
    b"DATA": _parse_without_argument("DATA", Data),
    b"BDAT": _parse_bdat,
    b"RSET": _parse_without_argument("RSET", Rset),
    b"NOOP": _parse_noop,
    b"QUIT": _parse_without_argument("QUIT", Quit),
    b"HELP": _parse_help,
    b"VRFY": _parse_query("VRFY", Vrfy),
    b"EXPN": _parse_query("EXPN", Expn),
    b"STARTTLS": _parse_without_argument("STARTTLS", StartTls),
    b"AUTH": _parse_auth,
}

VERBS: Final = frozenset(_PARSERS)
"""The verbs that every session knows, without an offer."""
