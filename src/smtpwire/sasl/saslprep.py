"""SASLprep (RFC 4013): how user names and passwords are spelled before they are compared."""

from __future__ import annotations

import re
from enum import Enum
from itertools import groupby

from smtpwire.wire.checked import checked
from smtpwire.wire.error import SmtpwireError

__all__ = ["Preparation", "SaslprepError", "prepared_name", "prepared_password", "saslprep"]

# Controls and line separators: never in a name, prepared or not.
_CONTROLS = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"
_ASCII_CONTROLS = "[\x00-\x1f\x7f]"


class SaslprepError(SmtpwireError, ValueError):
    """SASLprep refuses this string. The string is not in the message: it may be a password."""


class Preparation(Enum):
    """How names and passwords are prepared: one setting for every mechanism, in both roles.

    Who hashes or compares a password prepares it: a server always, a client in SCRAM and
    CRAM-MD5. In PLAIN and LOGIN the client sends what was typed, and leaves it to the server
    (RFC 4616 §2). DIGEST-MD5's password is never prepared: RFC 2831 knows no preparation, and
    what is stored of it is shared with HTTP. A server takes no name with control characters,
    whatever the setting.
    """

    RAW = "raw"
    """The default: no preparation. Most deployed servers compare octets."""
    LENIENT = "lenient"
    """SASLprep (RFC 4013, as RFC 4616 §2 and RFC 5802 §2.2 have it); a password that it refuses is
    used as it stands."""
    STRICT = "strict"
    """SASLprep; what it refuses fails."""


def saslprep(text: str, *, stored: bool = False) -> str:
    """Prepare ``text`` by RFC 4013; the result may be empty.

    The query profile lets code points pass which Unicode 3.2 had not assigned; with
    ``stored`` they are refused (RFC 3454 §7). Raises `SaslprepError`.
    """
    text = checked("text", text, str)
    if text.isascii():  # nothing to map or to normalise: only §2.3's controls to refuse
        if not text.isprintable() and re.search(_ASCII_CONTROLS, text):
            raise SaslprepError("a control character is prohibited")
        return text
    return _prepare(text, stored=stored)


def _prepare(text: str, *, stored: bool) -> str:
    import stringprep
    import unicodedata

    # §2.1 mapping, §2.2 normalisation. U+200B stands in both tables: a space, as the RFC's
    # order has it.
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if stringprep.in_table_c12(char) or not stringprep.in_table_b1(char)
    )
    # A code point not assigned in Unicode 3.2 neither decomposes nor composes, nor moves another:
    # Python's tables of 3.2 let it, by the Unicode of each Python.
    normalize = unicodedata.ucd_3_2_0.normalize
    output = "".join(
        "".join(run) if unassigned else normalize("NFKC", "".join(run))
        for unassigned, run in groupby(mapped, stringprep.in_table_a1)
    )
    # §2.3 prohibited output
    prohibited = (
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    characters = set(output)
    if any(table(char) for char in characters for table in prohibited):
        raise SaslprepError("a prohibited character")
    # §2.5 unassigned code points
    if stored and any(map(stringprep.in_table_a1, characters)):
        raise SaslprepError("a code point which Unicode 3.2 had not assigned")
    # §2.4, RFC 3454 §6: right-to-left text stands alone, and at both ends
    if any(map(stringprep.in_table_d1, characters)):
        if any(map(stringprep.in_table_d2, characters)):
            raise SaslprepError("left-to-right among right-to-left characters")
        if not (stringprep.in_table_d1(output[0]) and stringprep.in_table_d1(output[-1])):
            raise SaslprepError("right-to-left text must begin and end so")
    return output


def prepared_name(text: str, preparation: Preparation) -> str | None:
    """A user name as it is looked up; None: no such name can exist. May be empty."""
    if not text.isprintable() and re.search(_CONTROLS, text):
        return None
    if preparation is Preparation.RAW:
        return text
    try:
        return saslprep(text)
    except SaslprepError:
        return None


def prepared_password(text: str, preparation: Preparation, *, stored: bool = False) -> str | None:
    """A password as it is hashed or compared; None: refused. May be empty.

    ``stored`` matters in STRICT only: what LENIENT stores must equal what a client's query
    makes of the same password.
    """
    if preparation is Preparation.RAW:
        return text
    try:
        return saslprep(text, stored=stored and preparation is Preparation.STRICT)
    except SaslprepError:
        return text if preparation is Preparation.LENIENT else None
