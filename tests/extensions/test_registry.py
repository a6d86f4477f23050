"""Entries, offers and registries."""

import pytest
from tests.extensions.reading import code, mail, read

from smtpwire.extensions import (
    AUTH,
    BINARYMIME,
    CHUNKING,
    DSN,
    EIGHTBITMIME,
    PIPELINING,
    REGISTRY,
    SIZE,
    SMTPUTF8,
    STARTTLS,
    AnyExtension,
    Atrn,
    Burl,
    Etrn,
    Extension,
    Offer,
    Profile,
    Registry,
    When,
    XClient,
    XForward,
    flag,
    no_parameter,
    parameters,
)
from smtpwire.extensions.registry import Offered
from smtpwire.wire.command import CommandError, ExtensionCommand, Verb
from smtpwire.wire.ehlo import EhloKeyword
from smtpwire.wire.octets import parse_number
from smtpwire.wire.parameter import Parameter, Parameters

KEYWORDS = [
    EhloKeyword("SIZE", "1000"),
    EhloKeyword("X-MINE", "a b"),
    EhloKeyword("AUTH", "PLAIN"),
]


def test_an_offer_is_looked_up_by_type() -> None:
    offer = REGISTRY.read(KEYWORDS)
    assert offer[SIZE] == 1000
    assert offer.get(AUTH) == ("PLAIN",)
    assert offer.get(DSN) is None
    assert SIZE in offer
    assert DSN not in offer
    with pytest.raises(KeyError):
        offer[DSN]


def test_what_an_extension_does_not_take_is_told() -> None:
    with pytest.raises(TypeError, match=r"^SIZE does not take -1: 'SIZE -1' would be it$"):
        SIZE(-1)
    with pytest.raises(TypeError, match=r"^AUTH does not take an int: pass a tuple of str$"):
        AUTH(7)  # type: ignore[arg-type] # what a program without type checks passes
    with pytest.raises(TypeError, match=r"^pass extensions with their values: Offer\(\[SIZE"):
        Offer([SIZE])  # type: ignore[list-item] # likewise


def test_unknown_keywords_are_kept_with_their_parameters() -> None:
    offer = REGISTRY.read(KEYWORDS)
    assert [item.parameters for item in offer.unknown] == ["a b"]
    assert "X-MINE" in offer
    assert "X-YOURS" not in offer
    assert offer.keywords == ("SIZE", "AUTH", "X-MINE")
    assert offer.lines == ("SIZE 1000", "AUTH PLAIN", "X-MINE a b")
    assert len(offer) == 3
    assert repr(offer) == "Offer(SIZE 1000, AUTH PLAIN, X-MINE a b)"


def test_offers_are_compared_by_their_lines() -> None:
    assert REGISTRY.read(KEYWORDS) == REGISTRY.read(KEYWORDS)
    assert hash(REGISTRY.read(KEYWORDS)) == hash(REGISTRY.read(KEYWORDS))
    assert REGISTRY.read(KEYWORDS) != Offer()
    assert Offer() != "Offer()"


def test_line_limits_add_up() -> None:
    # RFC 5321 §4.5.3.1.4, RFC 1870 §3 (5), RFC 6531 §3.1 (5)
    offer = Offer([SIZE(0), SMTPUTF8(True), PIPELINING(True)])
    assert offer.line_limits() == {"MAIL": 512 + 26 + 10}
    assert offer.line_limits(1000) == {"MAIL": 1000 + 26 + 10}
    long = "MAIL FROM:<a@example.com> SIZE=" + "0" * 14 + "7" + " " * 480 + "SIZE=7"
    assert len(long) > 510
    assert code(long, SIZE(0), SMTPUTF8(True)) == 501  # read to its end: SIZE twice
    assert code(long + "x" * 30, SIZE(0), SMTPUTF8(True)) == 500


def test_what_is_required_takes_others_with_it() -> None:
    # BINARYMIME needs CHUNKING, and a private one needs BINARYMIME
    mine = Extension("MINE", "-", "-", flag, no_parameter, requires=("BINARYMIME",))
    offer = Offer([mine(True), BINARYMIME(True), EIGHTBITMIME(True)])
    assert offer.restricted(Profile.RELAY, tls=False).keywords == ("8BITMIME",)
    whole = Offer([mine(True), BINARYMIME(True), CHUNKING(True)])
    assert whole.restricted(Profile.RELAY, tls=False) == whole


def test_unknown_keywords_stay_in_a_restricted_offer() -> None:
    offer = Offer([STARTTLS(True)], [EhloKeyword("X-MINE")])
    assert offer.restricted(Profile.RELAY, tls=True).keywords == ("X-MINE",)


def test_a_registry_knows_whose_a_verb_or_parameter_is() -> None:
    assert REGISTRY.verbs["ETRN"].keyword == "ETRN"
    assert REGISTRY.parameters["RCPT", "ORCPT"] is DSN
    assert REGISTRY.parameters["MAIL", "BODY"] is EIGHTBITMIME
    assert REGISTRY.by_keyword["SIZE"] is SIZE
    assert [entry.keyword for entry in REGISTRY] == list(REGISTRY.by_keyword)
    assert len(REGISTRY.by_keyword) == len(REGISTRY.extensions)


def test_a_registry_knows_which_verbs_have_secrets() -> None:
    # RFC 4467: a URL can be a key to a mailbox
    key = Verb("XKEY", str, str, secret=True)
    private = (Extension("X-KEYS", "-", "-", flag, no_parameter, verbs=(key,)),)
    secrets = (REGISTRY + private).secrets
    assert {name for name, secret in secrets.items() if secret} == {"BURL", "XKEY"}
    assert secrets.keys() == {verb.name for entry in REGISTRY for verb in entry.verbs} | {"XKEY"}


def test_what_is_offered_where_nothing_is_said() -> None:
    assert {entry.keyword: entry.default for entry in REGISTRY if entry.default} == {
        "XCLIENT": "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME",
        "XFORWARD": "NAME ADDR PORT PROTO HELO IDENT SOURCE",
    }
    assert Extension("XMINE", "private", "mine", flag, no_parameter).default == ""


def test_the_words_of_profiles_and_of_when_something_is_offered() -> None:
    assert [each.value for each in Profile] == ["relay", "submission", "submissions", "lmtp"]
    assert [each.value for each in When] == [
        *("always", "before TLS", "under TLS", "to listed peers"),
    ]


def test_a_private_entry_replaces_one_of_the_same_keyword() -> None:
    mine = Extension("SIZE", "-", "-", flag, no_parameter)
    private = (mine,)
    assert (REGISTRY + private).by_keyword["SIZE"] is mine
    assert list(Registry((DSN,)) + private) == [DSN, mine]


def test_an_entry_names_itself() -> None:
    assert repr(DSN) == "Extension(DSN)"


def test_an_entry_of_unknown_type_reads_nothing() -> None:
    with pytest.raises(NotImplementedError):
        AnyExtension().read("")


def test_a_private_extension_needs_one_entry() -> None:
    colour = Parameter("XCOLOUR", lambda raw: parse_number(raw or ""), str)
    paint = Verb("XPAINT", lambda text: text.split(" "), " ".join)
    mine = Extension(
        "X-COLOURS", "mine", "colours", parse_number, str, (colour,), (), (paint,), (("MAIL", 12),)
    )
    registry = Registry((*REGISTRY, mine))
    assert registry.read([EhloKeyword("X-COLOURS", "7")])[mine] == 7
    assert mail("XCOLOUR=3", mine(7))[colour] == 3
    command = read("XPAINT red blue", mine(7))
    assert isinstance(command, ExtensionCommand)
    assert command.parsed(paint) == ["red", "blue"]


def test_a_check_sees_the_offer_and_all_parameters() -> None:
    def not_both(offer: Offer, given: Parameters) -> CommandError | None:
        both = parameters.SIZE in given and SIZE in offer
        return CommandError(504, "5.5.4", "no sizes here") if both else None

    mine = Extension("MINE", "-", "-", flag, no_parameter, check=not_both)
    assert code("MAIL FROM:<> SIZE=1", mine(True), SIZE(None)) == 504
    assert code("MAIL FROM:<>", mine(True), SIZE(None)) == 250


def test_an_extension_read_is_one_made_by_its_constructor() -> None:
    assert SIZE.read("9") == Offered(SIZE, "9", 9)
    assert hash(SIZE.read("9")) == hash(Offered(SIZE, "9", 9))
    with pytest.raises(TypeError, match=r"parameters is an int"):
        PIPELINING.read(9)  # type: ignore[arg-type]  # what a caller may do all the same


def test_each_command_of_an_extension_knows_its_verb() -> None:
    commands = [
        Atrn(),
        Burl("imap://a/b"),
        Etrn("a.example"),
        XClient(name="a"),
        XForward(name="a"),
    ]
    for command in commands:
        assert bytes(command).split()[0].decode() == command.verb
