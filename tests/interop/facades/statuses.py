"""What aiosmtpd's handlers answer, and what the engine takes: one line of text, or a Reply."""

import re
from typing import Final

from smtpwire.wire.reply import Reply

__all__ = ["as_reply"]

_LINE: Final = re.compile(r"([0-9]{3})[ -]?(.*)")


def as_reply(status: object) -> Reply:
    """A status such as ``"250 OK"`` or several lines of it, as a reply.

    A code that RFC 5321 §4.2 does not have becomes the general one of its class.
    """
    text = status.decode() if isinstance(status, bytes) else str(status)
    codes, lines = [], []
    for line in text.splitlines() or [""]:
        found = _LINE.fullmatch(line)
        codes.append(int(found[1]) if found else 0)
        lines.append(found[2] if found else line)
    code = codes[-1]
    if not (200 <= code <= 559 and code % 100 <= 59):
        code = {2: 250, 3: 354, 4: 451}.get(code // 100, 554)
    return Reply(code, "\n".join(lines))
