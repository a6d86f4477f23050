"""How a server is to behave, and what follows from it once for all its connections."""

from collections.abc import Mapping
from functools import cached_property
from typing import Final, Self, final

from smtpwire.engine.limits import Limits
from smtpwire.engine.plan import Plan, Situation
from smtpwire.engine.policy import DEFAULT_POLICIES, Policy
from smtpwire.engine.replies import DEFAULT_REPLIES, ReplyKind
from smtpwire.engine.timeouts import Timeouts
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import (
    AUTH,
    CHUNKING,
    EIGHTBITMIME,
    ENHANCEDSTATUSCODES,
    PIPELINING,
    REGISTRY,
    SIZE,
    SMTPUTF8,
    STARTTLS,
    AnyExtension,
    Offer,
    Offered,
    Profile,
    Registry,
    When,
)
from smtpwire.sasl import CLEARTEXT, ServerFactory
from smtpwire.wire.body import LineEndings
from smtpwire.wire.command import Leniency
from smtpwire.wire.reply import Reply, format_reply
from smtpwire.wire.value import field, value

__all__ = ["ServerConfig"]

_DEFAULT_OFFER: Final = (PIPELINING, EIGHTBITMIME, ENHANCEDSTATUSCODES, CHUNKING, SMTPUTF8)
_LENIENT: Final = Leniency(
    blank_after_colon=True, missing_brackets=True, odd_hello_names=True, odd_addresses=True
)
_UNSOFTENED: Final = frozenset(
    {
        ViolationKind.PLAINTEXT_BEHIND_STARTTLS,
        ViolationKind.CHUNK_SIZE,
        ViolationKind.TOO_MUCH,
    }
)


@final
@value(kw_only=True)
class ServerConfig:
    """A service: one value for all its connections. Make variants with ``smtpwire.replace``.

    Begin with :meth:`relay`, :meth:`submission`, :meth:`submissions` or :meth:`lmtp`.

    host: the name in the greeting and in EHLO's reply.
    offer: extensions with their parameters, beyond those which follow from other fields: SIZE
        from ``limits``, STARTTLS from ``starttls``, AUTH from ``mechanisms``.
    registry: what is known at all; verbs in it that are not offered are answered 502.
    line_endings: what becomes of bare CR and LF in DATA; the end of data is strict in any case.
    check_chunks: look for bare CR and LF in BDAT's chunks too, for ``EndOfMessage.canonical``;
        without it that says False for every message that came by BDAT.
    starttls: the adapter holds a certificate: STARTTLS is offered and accepted.
    require_tls, require_auth: 530 to what RFC 3207 §4 and RFC 4954 §6 do not exempt.
    mechanisms: SASL mechanisms by name, strongest first; none: no AUTH.
    cleartext_without_tls: PLAIN, LOGIN and bearer tokens are offered outside TLS, too.
    custom_mechanisms: factories of mechanisms of your own, by name.
    scram_secret, scram_iterations, stores_passwords, realm: see ``sasl.ServerMechanismConfig``.
    policies: what to do about violations, where other than ``DEFAULT_POLICIES``.
    replies: engine-made replies, where other than ``DEFAULT_REPLIES``.
    pipeconnect: addresses of clients that may talk before the greeting (Exim's PIPECONNECT).
    proxy: addresses of proxies: they must send a PROXY header first, and nobody else may connect.
    xclient, xforward: addresses of clients that may say whom they speak for.
    xclient_login: XCLIENT's LOGIN is believed: that peer may act as any user.

    Raises ValueError where fields contradict one another: an extension that the profile may not
    offer or that lacks one it requires, a policy that cannot be.
    """

    __slots__ = ("__dict__",)  # for what follows from it, computed once

    host: str
    profile: Profile = Profile.RELAY
    offer: tuple[AnyExtension | Offered, ...] = _DEFAULT_OFFER
    registry: Registry = REGISTRY
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    leniency: Leniency = field(default_factory=Leniency)
    line_endings: LineEndings = LineEndings.REJECT
    check_chunks: bool = True
    starttls: bool = False
    require_tls: bool = False
    require_auth: bool = False
    mechanisms: tuple[str, ...] = ()
    cleartext_without_tls: bool = False
    custom_mechanisms: Mapping[str, ServerFactory] = field(default_factory=dict)
    scram_secret: bytes = field(default=b"", repr=False)
    scram_iterations: int = 4096
    stores_passwords: bool = True
    realm: str = ""
    policies: Mapping[ViolationKind, Policy] = field(default_factory=dict)
    replies: Mapping[ReplyKind, Reply] = field(default_factory=dict)
    pipeconnect: frozenset[str] = frozenset()
    proxy: frozenset[str] = frozenset()
    xclient: frozenset[str] = frozenset()
    xclient_login: bool = False
    xforward: frozenset[str] = frozenset()

    @classmethod
    def relay(cls, host: str) -> Self:
        """Port 25, between servers: nobody need authenticate (RFC 5321)."""
        return cls(host=host)

    @classmethod
    def submission(cls, host: str) -> Self:
        """Port 587: STARTTLS, then AUTH, then mail (RFC 6409)."""
        return cls(
            host=host,
            profile=Profile.SUBMISSION,
            leniency=_LENIENT,
            starttls=True,
            require_auth=True,
            mechanisms=("PLAIN", "LOGIN"),
        )

    @classmethod
    def submissions(cls, host: str) -> Self:
        """Port 465: the same with TLS from the first octet (RFC 8314 §3.3)."""
        return cls(
            host=host,
            profile=Profile.SUBMISSIONS,
            leniency=_LENIENT,
            require_tls=True,
            require_auth=True,
            mechanisms=("PLAIN", "LOGIN"),
        )

    @classmethod
    def lmtp(cls, host: str) -> Self:
        """Local delivery: LHLO, and a reply a recipient (RFC 2033)."""
        return cls(host=host, profile=Profile.LMTP)

    def __post_init__(self) -> None:
        offered = self.entries
        for keyword, entry in offered.items():
            if self.profile not in entry.profiles:
                raise ValueError(f"{keyword} is not for {self.profile.value} ({entry.rfc})")
            for required in entry.requires:
                if required not in offered:
                    raise ValueError(f"{keyword} requires {required} ({entry.rfc})")
        if any(name.startswith("SCRAM-") for name in self.mechanisms):
            if len(self.scram_secret) < 16:  # else unknown users could be told from known ones
                raise ValueError("SCRAM needs a scram_secret of 16 octets or more, kept secret")
            if self.scram_iterations < 4096:
                raise ValueError("scram_iterations is at least 4096 (RFC 7677 §4)")
        softened = _UNSOFTENED & self.policies.keys()
        if any(self.policies[kind] is not Policy.CLOSE for kind in softened):
            raise ValueError(f"only Policy.CLOSE is possible for {softened}")

    @cached_property
    def entries(self) -> Mapping[str, AnyExtension]:
        """The extensions of ``offer`` by keyword."""
        entries = (item.extension if isinstance(item, Offered) else item for item in self.offer)
        return {entry.keyword: entry for entry in entries}

    @cached_property
    def texts(self) -> Mapping[ReplyKind, Reply]:
        """Every engine-made reply, by kind, as this service makes it."""
        texts = dict(DEFAULT_REPLIES) | dict(self.replies)
        for kind in (ReplyKind.GREETING, ReplyKind.HELLO):
            text = f"{self.host} {texts[kind].text}".rstrip(" ")
            texts[kind] = Reply(texts[kind].code, text)
        return texts

    @cached_property
    def octets(self) -> Mapping[ReplyKind, bytes]:
        """The same, serialised."""
        return {kind: serialise(reply, self.enhanced) for kind, reply in self.texts.items()}

    @cached_property
    def enhanced(self) -> bool:
        """Whether replies carry enhanced status codes; also after HELO (RFC 2034 §4)."""
        return ENHANCEDSTATUSCODES.keyword in self.entries

    @cached_property
    def bare_plan(self) -> Plan:
        """What holds after HELO: no extension (RFC 5321 §3.2)."""
        return self.plan_for(Offer())

    def policy(self, kind: ViolationKind) -> Policy:
        """What to do about a violation."""
        return self.policies.get(kind, DEFAULT_POLICIES[kind])

    def plan(self, situation: Situation) -> Plan:
        """What is offered to a client in this situation, computed once."""
        plan = self._plans.get(situation)
        if plan is None:
            plan = self._plans[situation] = self.plan_for(Offer(self._offered(situation)))
        return plan

    def plan_for(self, offer: Offer) -> Plan:
        """What follows from an offer: what commands are read against, and EHLO's reply."""
        entries = {**self.registry.by_keyword, **self.entries}
        recognized = frozenset(
            verb.name.encode() for entry in entries.values() for verb in entry.verbs
        )
        return Plan(
            offer,
            offer.grammar(self.leniency, recognized, self.limits.command_line),
            self.limits,
            serialise(self._hello(offer, self.texts[ReplyKind.HELLO]), enhanced=False),
        )

    @staticmethod
    def _hello(offer: Offer, reply: Reply) -> Reply:
        return Reply(reply.code, "\n".join((reply.lines[0], *offer.lines)))

    @cached_property
    def _plans(self) -> dict[Situation, Plan]:
        return {}

    def _offered(self, situation: Situation) -> list[Offered]:
        given = {item.extension.keyword: item for item in self.offer if isinstance(item, Offered)}
        offered = [
            given.get(keyword) or entry.read("")
            for keyword, entry in self.entries.items()
            if self._now(entry, situation)
        ]
        if SIZE.keyword not in self.entries:
            offered.append(SIZE(self.limits.message))
        if self.starttls and not situation.tls:
            offered.append(STARTTLS(True))
        mechanisms = self._mechanisms(situation)
        if mechanisms:
            offered.append(AUTH(mechanisms))
        return offered

    def _now(self, entry: AnyExtension, situation: Situation) -> bool:
        if entry.when is When.UNDER_TLS and not situation.tls:
            return False
        if entry.keyword in situation.withheld:
            return False
        return entry.when is not When.BEFORE_TLS or not situation.tls

    def _mechanisms(self, situation: Situation) -> tuple[str, ...]:
        cleartext = situation.tls or self.cleartext_without_tls
        return tuple(
            name
            for name in self.mechanisms
            if (cleartext or name not in CLEARTEXT)
            and (situation.bindings or not name.endswith("-PLUS"))
            and (situation.certificate or name != "EXTERNAL")
        )


def serialise(reply: Reply, enhanced: bool, *, utf8: bool = False) -> bytes:
    """A reply's octets; ``enhanced``: the service has ENHANCEDSTATUSCODES (RFC 2034 §4)."""
    if not enhanced and reply.enhanced is not None:
        reply = Reply(reply.code, reply.text)
    return format_reply(reply, utf8=utf8)
