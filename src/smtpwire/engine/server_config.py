"""How a server is to behave, and what follows from it once for all its connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, Self, Unpack, final

from smtpwire.engine.commands import COMMANDS
from smtpwire.engine.limits import Limits
from smtpwire.engine.offer_plan import OfferPlan
from smtpwire.engine.policy import DEFAULT_POLICIES, POSSIBLE_POLICIES, Policy
from smtpwire.engine.replies import DEFAULT_REPLIES, FIXED_CODES, ReplyKind
from smtpwire.engine.restrictions import OfferConditions, restricted
from smtpwire.engine.timeouts import Timeouts
from smtpwire.engine.trust import TrustList
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
)
from smtpwire.sasl import FAMILIES, Preparation, check_mechanism, family
from smtpwire.wire.address import Address
from smtpwire.wire.body import LineEndings
from smtpwire.wire.checked import check_own_name, checked
from smtpwire.wire.command import Auth, Leniency
from smtpwire.wire.ehlo import EhloKeyword
from smtpwire.wire.reply import Reply, format_reply
from smtpwire.wire.table import Table
from smtpwire.wire.value import differences, field, replace, value

if TYPE_CHECKING:
    from smtpwire.engine.server_settings import ServerSettings, SubmissionSettings
    from smtpwire.sasl import ServerMechanism, ServerMechanismConfig

__all__ = ["ServerConfig"]

_DEFAULT_OFFER: Final = (PIPELINING, EIGHTBITMIME, ENHANCEDSTATUSCODES, CHUNKING, SMTPUTF8)
_LENIENT: Final = Leniency(
    blank_after_colon=True, missing_brackets=True, odd_hello_names=True, odd_addresses=True
)
UNWRAPPED: Final = 1 << 20
_HOST: Final = r"[!-~]+"
_DERIVED: Final[Mapping[str, str]] = {
    SIZE.keyword: "limits=Limits(message=…)",
    STARTTLS.keyword: "starttls=True",
    AUTH.keyword: "mechanisms=(…)",
}
"""What follows from other fields, and from which."""


@final
@value(kw_only=True, checked=True)
class ServerConfig:
    """A service: one value for all its connections. Make variants with ``smtpwire.replace``.

    Begin with :meth:`relay`, :meth:`submission`, :meth:`submissions` or :meth:`lmtp`.

    host: the name in the greeting and in EHLO's reply.
    aliases: more names and addresses by which clients know this service: DIGEST-MD5 fails for
        a client that means to talk to any other (RFC 2831 §2.1.2).
    local_domains: domains and address literals whose mail this service takes: what is answered by
        default to RCPT is 250 for these, for the bare Postmaster and once a client has
        authenticated (not as ANONYMOUS), else 550 5.7.1. An application's own answer may be any.
    offer: extensions with their parameters, beyond those which follow from other fields: SIZE
        from ``limits``, STARTTLS from ``starttls``, AUTH from ``mechanisms``.
    offer_order: keywords whose lines come first in EHLO's reply, in this order; the others follow
        as ``offer`` has them, SIZE, STARTTLS and AUTH last.
    limits, timeouts: bounds of what a client may send and repeat, and seconds to wait for it.
    leniency: slips of grammar that are overlooked.
    registry: what is known at all; verbs in it that are not offered are answered 502.
    line_endings: what becomes of bare CR and LF in DATA; the end of data is strict in any case.
        REJECT holds for BDAT, too, but for BODY=BINARYMIME (RFC 3030 §2, §3); what comes by BDAT
        is never changed.
    check_chunks: look for bare CR and LF in BDAT's chunks too, for REJECT and for
        ``EndOfMessage.canonical``; without it the latter says False for every message that came
        by BDAT, and the former does nothing there.
    starttls: the adapter holds a certificate: STARTTLS is offered and accepted.
    require_tls, require_auth: 530 to what RFC 3207 §4 and RFC 4954 §6 do not exempt.
    mechanisms: SASL mechanisms by name, strongest first; none: no AUTH.
    cleartext_without_tls: PLAIN, LOGIN and bearer tokens are offered outside TLS, too.
    custom_mechanisms: factories of mechanisms of your own, by name.
    scram_secret: 16 octets or more that all processes of the service share, keep and hide; SCRAM
        needs them, for the salts of users who do not exist.
    stores_passwords: False where every user has a ``ScramSecret``, as by ``derive_scram``.
    scram_iterations, realm: see ``sasl.ServerMechanismConfig``, also for the two above.
    preparation: how names and passwords are spelled before they are compared (SASLprep).
    policies: what to do about violations, where other than ``DEFAULT_POLICIES``.
    replies: engine-made replies, where other than ``DEFAULT_REPLIES``.
    asks: which of HELP, NOOP, QUIT and RSET the application answers: each of their commands is a
        ``CommandQuestion`` then; else the engine answers it and tells.
    pipeconnect: clients that may talk before the greeting (Exim's PIPECONNECT).
    proxy: proxies: they must send a PROXY header first, and nobody else may connect. The adapters
        read the header; ``Peer`` then has the client's address.
    xclient, xforward: clients that may say whom they speak for, also before TLS and AUTH.
    xclient_login: XCLIENT's LOGIN is offered and believed: that peer may act as any user.
    listed: the same for extensions of your own with ``When.TO_LISTED``, by keyword.

    These lists hold addresses of IP and networks (``"10.0.0.0/24"``); they are compared as
    addresses, so that ``::ffff:192.0.2.1`` is ``192.0.2.1``.

    Raises ValueError where fields contradict one another: an extension that the profile may not
    offer, that lacks one it requires or its parameters, a policy or a reply that cannot be, a
    mechanism nobody knows, SCRAM without ``scram_secret``; and for ``scram_iterations`` below 4096,
    a ``host`` with a port, a local domain that is none, and an entry in a list of clients that is
    neither an address nor a network.
    """

    __slots__ = ("__dict__",)  # for what follows from it, computed once

    host: str
    aliases: tuple[str, ...] = ()
    local_domains: tuple[str, ...] = ()
    profile: Profile = Profile.RELAY
    offer: tuple[AnyExtension | Offered, ...] = _DEFAULT_OFFER
    offer_order: tuple[str, ...] = ()
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
    custom_mechanisms: Mapping[str, Callable[[ServerMechanismConfig], ServerMechanism]] = field(
        default_factory=dict
    )
    scram_secret: bytes = field(default=b"", repr=False)
    scram_iterations: int = 4096
    stores_passwords: bool = True
    realm: str = ""
    preparation: Preparation = Preparation.RAW
    policies: Mapping[ViolationKind, Policy] = field(default_factory=dict)
    replies: Mapping[ReplyKind, Reply] = field(default_factory=dict)
    asks: frozenset[Literal["HELP", "NOOP", "QUIT", "RSET"]] = frozenset()
    pipeconnect: frozenset[str] = frozenset()
    proxy: frozenset[str] = frozenset()
    xclient: frozenset[str] = frozenset()
    xclient_login: bool = False
    xforward: frozenset[str] = frozenset()
    listed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def relay(
        cls, host: str, local_domains: Iterable[str] = (), **settings: Unpack[ServerSettings]
    ) -> Self:
        """Port 25, between servers: nobody need authenticate (RFC 5321).

        ``settings`` are fields that are to be other than the preset's, here and below:
        ``ServerConfig.relay("mx.example.org", limits=Limits(recipients=100))``.
        """
        return cls(host=host, local_domains=_several(local_domains), **settings)

    @classmethod
    def submission(cls, host: str, **settings: Unpack[SubmissionSettings]) -> Self:
        """Port 587: STARTTLS, then AUTH, then mail (RFC 6409); by default PLAIN and LOGIN."""
        preset: SubmissionSettings = {
            "leniency": _LENIENT,
            "starttls": True,
            "require_auth": True,
            "mechanisms": ("PLAIN", "LOGIN"),
        }
        return cls(host=host, profile=Profile.SUBMISSION, **(preset | settings))

    @classmethod
    def submissions(cls, host: str, **settings: Unpack[SubmissionSettings]) -> Self:
        """Port 465: as :meth:`submission`, with TLS from the first octet (RFC 8314 §3.3)."""
        preset: SubmissionSettings = {
            "leniency": _LENIENT,
            "require_tls": True,
            "require_auth": True,
            "mechanisms": ("PLAIN", "LOGIN"),
        }
        return cls(host=host, profile=Profile.SUBMISSIONS, **(preset | settings))

    @classmethod
    def lmtp(
        cls, host: str, local_domains: Iterable[str] = (), **settings: Unpack[ServerSettings]
    ) -> Self:
        """Local delivery: LHLO, and a reply a recipient (RFC 2033)."""
        domains = _several(local_domains)
        return cls(host=host, profile=Profile.LMTP, local_domains=domains, **settings)

    def __repr__(self) -> str:
        """The preset, and what is other than in it; no secret."""
        name = self.profile.value
        preset: ServerConfig = getattr(ServerConfig, name)(self.host)
        return f"ServerConfig.{name}({', '.join([repr(self.host), *differences(self, preset)])})"

    def __post_init__(self) -> None:
        if re.fullmatch(_HOST, self.host) is None:
            raise ValueError(
                f"{self.host!r} is no host's name: visible ASCII, as xn-- where it is an IDN"
            )
        check_own_name("ServerConfig.host", self.host)
        for kind, policy in self.policies.items():
            if policy not in POSSIBLE_POLICIES.get(kind, ()):
                raise ValueError(f"{policy} is not possible for {kind}")
        for reply_kind, reply in self.replies.items():
            _check_reply(reply_kind, reply)
        for keyword, by in _DERIVED.items():
            if keyword in self.entries:
                raise ValueError(f"offer has {keyword}, which {by} offers: leave it out")
        for keyword in self.offer_order:
            if keyword not in self.entries and keyword not in _DERIVED:
                raise ValueError(f"offer_order has {keyword!r}, which is not offered")
        if self.scram_iterations < 4096:
            raise ValueError("scram_iterations is at least 4096 (RFC 7677 §4)")
        self.check_offer(self.entries)
        self.check_mechanisms(self.mechanisms)
        # Raise where a text or a parameter cannot be sent, and for what is no address or domain.
        self.octets, self.trust, self.domains, self.plan_for(self._default_offer)

    def check_offer(self, entries: Mapping[str, AnyExtension]) -> None:
        """Raise ValueError where these extensions may not be offered, or not together."""
        for keyword, entry in checked("entries", entries, Mapping[str, AnyExtension]).items():
            if self.profile not in entry.profiles:
                raise ValueError(f"{keyword} is not for {self.profile.value} ({entry.rfc})")
            for required in entry.requires:
                if required not in entries:
                    raise ValueError(f"{keyword} requires {required} ({entry.rfc})")

    def check_mechanisms(self, names: Iterable[str]) -> None:
        """Raise ValueError for a SASL mechanism that this service does not or cannot have."""
        for name in checked("names", names, tuple[str, ...]):
            check_mechanism(name, (*FAMILIES, *self.custom_mechanisms))
            if name in self.custom_mechanisms:
                bytes(Auth(name))  # raises where that is no name
            elif family(name).salted:
                self._check_salted(name)

    def _check_salted(self, name: str) -> None:
        if len(self.scram_secret) < 16:  # else unknown users could be told from known ones
            raise ValueError(f"{name} needs a scram_secret of 16 octets or more, kept secret")

    @cached_property
    def entries(self) -> Mapping[str, AnyExtension]:
        """The extensions of ``offer`` by keyword."""
        entries = (item.extension if isinstance(item, Offered) else item for item in self.offer)
        return Table((entry.keyword, entry) for entry in entries)

    @cached_property
    def texts(self) -> Mapping[ReplyKind, Reply]:
        """Every engine-made reply, by kind, as this service makes it."""
        texts = {
            kind: complete(self.replies.get(kind, reply)) for kind, reply in DEFAULT_REPLIES.items()
        }
        for kind in (ReplyKind.GREETING, ReplyKind.HELLO):
            text = f"{self.host} {texts[kind].text}".rstrip(" ")
            texts[kind] = Reply(texts[kind].code, text)
        return Table(texts)

    @cached_property
    def octets(self) -> Mapping[ReplyKind, bytes]:
        """The same, serialised."""
        return Table((kind, serialise(reply, self.enhanced)) for kind, reply in self.texts.items())

    @cached_property
    def domains(self) -> frozenset[str]:
        """The domains of ``local_domains`` as addresses have them; "" is the bare Postmaster's.

        RFC 5321 §4.5.1: mail for him is always taken.
        """
        return frozenset(("", *map(_domain, _several(self.local_domains))))

    @cached_property
    def open_verbs(self) -> frozenset[bytes]:
        """The verbs, in upper case, whose lines may be shown: they hold no secrets."""
        secret = {row.verb: row.secret for row in COMMANDS.values() if row.verb}
        secret |= self.registry.secrets
        for entry in self.entries.values():
            secret |= {verb.name: verb.secret for verb in entry.verbs}
        return frozenset(verb.encode() for verb, hidden in secret.items() if not hidden)

    @cached_property
    def enhanced(self) -> bool:
        """Whether replies carry enhanced status codes; also after HELO (RFC 2034 §4)."""
        return ENHANCEDSTATUSCODES.keyword in self.entries

    @cached_property
    def trust(self) -> Mapping[str, TrustList]:
        """The lists of clients that are not empty, by the keyword of what they may have."""
        given = {
            "PROXY": TrustList(self.proxy, "proxy"),
            "PIPECONNECT": TrustList(self.pipeconnect, "pipeconnect"),
            "XCLIENT": TrustList(self.xclient, "xclient"),
            "XFORWARD": TrustList(self.xforward, "xforward"),
        }
        for keyword, clients in self.listed.items():
            if keyword in given:
                raise ValueError(f"listed is for extensions of your own: {keyword} has a field")
            given[keyword] = TrustList(clients, f"listed[{keyword!r}]")
        return Table((keyword, clients) for keyword, clients in given.items() if clients)

    def trusted(self, address: str) -> frozenset[str]:
        """For what the client at this address is listed: keywords, and ``PROXY``."""
        return frozenset(keyword for keyword, clients in self.trust.items() if address in clients)

    @cached_property
    def plain_plan(self) -> OfferPlan:
        """What a client is offered before TLS that is listed for nothing."""
        return self.plan(OfferConditions())

    @cached_property
    def bare_plan(self) -> OfferPlan:
        """What holds after HELO: no extension (RFC 5321 §3.2)."""
        return self.plan_for(Offer())

    def policy(self, kind: ViolationKind) -> Policy:
        """What to do about a violation."""
        kind = checked("kind", kind, ViolationKind)
        return self.policies.get(kind, DEFAULT_POLICIES[kind])

    def plan(self, conditions: OfferConditions) -> OfferPlan:
        """What is offered to a client under these conditions, computed once."""
        plan = self._plans.get(checked("conditions", conditions, OfferConditions))
        if plan is None:
            offer = restricted(self._default_offer, self, conditions)
            plan = self._plans[conditions] = self.plan_for(offer)
        return plan

    def plan_for(self, offer: Offer) -> OfferPlan:
        """What follows from an offer: what commands are read against, and EHLO's reply.

        Raises ValueError for a keyword or parameters that no line of EHLO's reply can have.
        """
        for item in checked("offer", offer, Offer):
            EhloKeyword(item.extension.keyword, item.parameters)  # raises where no line can say it
        own = (verb.name for entry in self.entries.values() for verb in entry.verbs)
        recognized = frozenset(name.encode() for name in (*self.registry.secrets, *own))
        grammar = offer.grammar(self.leniency, recognized, self.limits.command_line)
        if AUTH in offer:  # an initial response may be as long as any of the exchange
            limits = {**grammar.line_limits, b"AUTH": self.limits.sasl_line}
            grammar = replace(grammar, line_limits=limits)
        hello = hello_octets(self.texts[ReplyKind.HELLO].lines[0], offer.lines)
        return OfferPlan(offer, grammar, self.limits, hello)

    @cached_property
    def mechanism_config(self) -> ServerMechanismConfig:
        """What a mechanism has to know of the service, without a TLS layer."""
        from smtpwire.sasl import ServerMechanismConfig

        return ServerMechanismConfig(
            scram_secret=self.scram_secret,
            iterations=self.scram_iterations,
            stores_passwords=self.stores_passwords,
            hosts=(self.host, *self.aliases),
            realm=self.realm,
            preparation=self.preparation,
        )

    @cached_property
    def known_replies(self) -> dict[tuple[int, str, str | None, bool], bytes]:
        """Replies by code, text and enhanced code, as they are sent; the sessions fill it."""
        return {}

    @cached_property
    def _plans(self) -> dict[OfferConditions, OfferPlan]:
        return {}

    @cached_property
    def _default_offer(self) -> Offer:
        """What there is to be offered, whatever the conditions."""
        given = {item.extension.keyword: item for item in self.offer if isinstance(item, Offered)}
        offered: list[Offered] = [
            given.get(keyword) or entry.read(entry.default)
            for keyword, entry in self.entries.items()
        ]
        offered += [SIZE(self.limits.message), STARTTLS(True), AUTH(self.mechanisms)]
        place = {keyword: place for place, keyword in enumerate(self.offer_order)}
        return Offer(
            sorted(offered, key=lambda item: place.get(item.extension.keyword, len(place)))
        )


def _several(domains: Iterable[str]) -> tuple[str, ...]:
    if isinstance(domains, str):
        raise ValueError(f"local_domains takes several domains, not one string: {domains!r}")
    return tuple(checked("local_domains", domains, Iterable))


def _domain(domain: str) -> str:
    try:
        return Address.parse(f"postmaster@{domain}").domain
    except ValueError as error:
        raise ValueError(f"local_domains: {domain!r} is no domain ({error})") from None


def complete(reply: Reply) -> Reply:
    """With an enhanced status code: X.0.0 where none was given (RFC 2034 §4)."""
    if reply.enhanced is not None or reply.is_intermediate:
        return reply
    return Reply(reply.code, reply.text, f"{reply.severity}.0.0")


def hello_octets(first: str, lines: tuple[str, ...]) -> bytes:
    """The reply to EHLO. No line is wrapped: what is left of it would be another keyword."""
    return format_reply(Reply(250, "\n".join((first, *lines))), limit=UNWRAPPED)


def serialise(reply: Reply, enhanced: bool, *, utf8: bool = False) -> bytes:
    """A reply's octets; ``enhanced``: the service has ENHANCEDSTATUSCODES (RFC 2034 §4)."""
    if not enhanced and reply.enhanced is not None:
        reply = Reply(reply.code, reply.text)
    return format_reply(reply, utf8=utf8)


def _check_reply(kind: ReplyKind, reply: Reply) -> None:
    """What a reply decides stays as it is, whatever its words."""
    default = DEFAULT_REPLIES[kind]
    if kind in FIXED_CODES or default.code == 421:
        fits = reply.code == default.code
    elif default.is_positive:
        fits = reply.is_positive
    else:
        fits = reply.code >= 400 and reply.code != 421
    if not fits:
        raise ValueError(f"{reply.code} is no reply for {kind}")
    try:
        serialise(complete(reply), enhanced=True)
    except ValueError as error:
        raise ValueError(f"the reply for {kind} cannot be sent: {error}") from None
