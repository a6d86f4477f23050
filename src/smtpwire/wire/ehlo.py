"""The reply to EHLO and LHLO: the server's name and its keywords (RFC 5321 §4.1.1.1).

Reading is tolerant of every form met in the field; which keyword means what is the extension
registry's to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias, final

from smtpwire.wire.reply import Reply
from smtpwire.wire.value import field, value

__all__ = ["EhloKeyword", "EhloResponse", "format_ehlo", "parse_ehlo"]

# The grammar has letters, digits and hyphens; underscores and more are met. What follows "="
# is a parameter: AUTH=LOGIN PLAIN, SIZE=n. A longer word is another keyword: XSTARTTLS.
_KEYWORD: Final = r"[!-<>-~]+"
_LINE: Final = r"([!-<>-~]++)(?:[= \t](.*))?"
_BLANKS: Final = r"[ \t]+"
_WORD: Final = r"[^\x00-\x20\x7f-\x9f]*"
_TEXT: Final = r"[^\x00-\x08\x0a-\x1f\x7f-\x9f]*"


@final
@value
class EhloKeyword:
    """One line of an EHLO reply: a keyword and its parameters.

    ``keyword`` is in upper case; ``parameters`` are separated by single blanks, "" if there are
    none; ``raw`` is the line as it came and takes no part in comparisons.
    Raises ValueError for a keyword or parameters that no line can carry.
    """

    keyword: str
    parameters: str = ""
    raw: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if re.fullmatch(_KEYWORD, self.keyword) is None:
            raise ValueError("keyword is not of printable ASCII (RFC 5321 §4.1.1.1)")
        if re.fullmatch(_TEXT, self.parameters) is None:
            raise ValueError("parameters have a control character (RFC 5321 §4.1.1.1)")
        object.__setattr__(self, "keyword", self.keyword.upper())
        object.__setattr__(self, "parameters", _single_blanks(self.parameters))
        object.__setattr__(self, "raw", self.raw or self.line)

    @property
    def line(self) -> str:
        """Keyword and parameters in the form of the grammar."""
        return f"{self.keyword} {self.parameters}" if self.parameters else self.keyword


@final
@value
class EhloResponse:
    """An EHLO reply taken apart: the server's name, its greeting, its keywords.

    ``keywords`` are the lines in order; one keyword may stand in several. Raises ValueError for a
    name with blanks, a greeting without a name, and controls.

    ``domain``: the first word, the server's name. ``greeting``: what stands behind it.
    """

    domain: str
    greeting: str = ""
    keywords: tuple[EhloKeyword, ...] = ()

    def __post_init__(self) -> None:
        if re.fullmatch(_WORD, self.domain) is None or (self.greeting and not self.domain):
            raise ValueError("domain is not one word (RFC 5321 §4.1.1.1)")
        if re.fullmatch(_TEXT, self.greeting) is None:
            raise ValueError("greeting has a control character (RFC 5321 §4.1.1.1)")


def parse_ehlo(reply: Reply) -> EhloResponse:
    """Take an EHLO or LHLO reply apart; never raises for what the peer sent.

    The first line is never a keyword. Lines that hold none are passed over. A keyword met again
    is kept again, as ``X-EXPS GSSAPI NTLM`` and ``X-EXPS=LOGIN``: what that means is its
    extension's to know. Only ``AUTH`` and ``AUTH=`` lines become one, with the mechanisms of all.
    """
    first, *lines = reply.lines
    domain, _, greeting = _single_blanks(first).partition(" ")
    keywords = [
        _proven_keyword(found[1], found[2] or "", line)
        for line in lines
        if (found := re.fullmatch(_LINE, line.strip(" \t")))
    ]
    return EhloResponse(domain, greeting, tuple(_with_one_auth(keywords)))


def _proven_keyword(keyword: str, parameters: str, raw: str) -> EhloKeyword:
    """Make a line's EhloKeyword: _LINE and Reply have proved what its constructor checks.

    A connection has one for each extension; the constructor costs three times as much.
    """
    made = _new(EhloKeyword)
    _set_keyword(made, keyword.upper())
    _set_parameters(made, _single_blanks(parameters) if parameters else "")
    _set_raw(made, raw)
    return made


# The slots' own setters, as a frozen class leaves no others.
_new: Final = object.__new__
_Setter: TypeAlias = Callable[[EhloKeyword, str], None]
_set_keyword: Final[_Setter] = EhloKeyword.__dict__["keyword"].__set__
_set_parameters: Final[_Setter] = EhloKeyword.__dict__["parameters"].__set__
_set_raw: Final[_Setter] = EhloKeyword.__dict__["raw"].__set__


def _with_one_auth(keywords: list[EhloKeyword]) -> list[EhloKeyword]:
    """The same with one AUTH line, where the first of several stood.

    RFC 4954 §3, and a draft before it whose ``AUTH=`` form old clients still look for.
    """
    auth = [item for item in keywords if item.keyword == "AUTH"]
    if len(auth) < 2:
        return keywords
    mechanisms = dict.fromkeys(" ".join(item.parameters for item in auth).split(" "))
    one = EhloKeyword("AUTH", " ".join(mechanisms))
    return [
        one if item is auth[0] else item
        for item in keywords
        if item is auth[0] or item.keyword != "AUTH"
    ]


def format_ehlo(response: EhloResponse) -> Reply:
    """The 250 reply that says this; it never has an enhanced code (RFC 2034 §4)."""
    first = f"{response.domain} {response.greeting}" if response.greeting else response.domain
    return Reply(250, "\n".join([first, *(item.line for item in response.keywords)]))


def _single_blanks(text: str) -> str:
    return re.sub(_BLANKS, " ", text).strip(" ")
