"""Scripts: any text is one or is refused, and it is played to any peer to an end.

Input: which side it plays, how it is cut, seed of the cuts; then the script, and behind a record
separator what the other side says. Then the other side is an engine of ours.
"""

import re
from typing import Final

from fuzz.choices import Choices, few
from fuzz.dialogue import SEPARATOR
from smtpwire import (
    ClientConfig,
    ClientConnection,
    Need,
    Password,
    Security,
    ServerConfig,
    ServerConnection,
    SmtpwireError,
)
from smtpwire.operations import Operation, open_session, quit, send_mail
from smtpwire.testing import ScriptDiffers
from smtpwire.testing.script import Player, Script, Send, Step, Wait
from smtpwire.transcript import Anything, Elided, octets_of
from smtpwire.wire.octets import UNSEEN

_SERVER: Final = ServerConfig.relay("mx.example.org", ("d.example",), starttls=True)
_CLIENT: Final = ClientConfig(
    hello_name="c.example",
    security=Security.OPPORTUNISTIC,
    cleartext_authentication_without_verified_tls=True,
)
_VALUES: Final = {"name": "c.example", "id": "1"}


def check(data: bytes) -> None:
    choices = Choices(data)
    client, mode, seed = bool(choices.below(2)), choices.octet(), choices.octet()
    text, _, octets = choices.rest().partition(SEPARATOR)
    try:
        script = Script(
            text.decode("utf-8", "replace"), plays="client" if client else "server", values=_VALUES
        )
    except ValueError as error:
        _check_names_line(str(error))
        return
    whole = _played(script, [octets])
    divided = _played(script, few(octets, mode, seed))
    if not any(isinstance(part.item, Anything) for part in script.parts):
        assert whole[:2] == divided[:2], (whole, divided)
        assert bool(whole[2]) is bool(divided[2]), (whole, divided)
    _meet_engine(script)


def _meet_engine(script: Script) -> None:
    """The script's peer is an engine: one of them ends it, in words of its own."""
    server = ServerConnection(_SERVER)
    client = ClientConnection(_CLIENT)
    try:
        if script.plays == "client":
            script.call(server)
            assert server.next_event() is Need.CLOSE
        else:
            script.run(client, _send(client))
    except ScriptDiffers as difference:
        _check_printable(str(difference))
    except SmtpwireError:  # how an operation ends
        assert script.plays == "server"


def _send(conn: ClientConnection) -> Operation[None]:
    """A message, as an application would send it."""
    yield from open_session(conn, credentials=Password("user", "password"))
    yield from send_mail(conn, "a@b.example", ["c@d.example"], b"x\r\n")
    yield from quit(conn)


def _check_names_line(words: str) -> None:
    assert words.startswith("line "), words
    assert not re.search(UNSEEN, words), words


def _played(script: Script, parts: list[bytes]) -> tuple[bytes, Step, str]:
    """What a player says to a peer that says these octets and closes, how it ends, and why."""
    player = Player(script)
    sent = b""
    arriving = [*(part for part in parts if part), b""]
    lines = sum(part.count(b"\n") for part in parts)  # an ordinary server answers each
    for _ in range(4 * len(script.parts) + 4 * len(arriving) + 2 * lines + 8):
        step = player.next_step()
        if isinstance(step, Send):
            sent += step.octets
        elif isinstance(step, Wait):
            assert step.seconds >= 0
        elif step is Step.READ:
            player.receive_data(arriving.pop(0) if arriving else b"")
        elif step is Step.TLS:
            player.tls_started()
        else:
            assert player.next_step() is step, "it stays"
            _check_dialogue(player, sent, b"".join(parts), client=script.plays == "client")
            return sent, step, player.difference
    raise AssertionError("a script that does not end")


def _check_dialogue(player: Player, sent: bytes, received: bytes, *, client: bool) -> None:
    """All that was sent stands in it, and of what came as much as was looked at."""
    dialogue = player.dialogue
    assert octets_of(dialogue, "C" if client else "S") == sent
    if not any(isinstance(item, Elided) for item in dialogue):
        assert received.startswith(octets_of(dialogue, "S" if client else "C"))
    _check_printable(player.difference)


def _check_printable(words: str) -> None:
    assert not re.search(UNSEEN, words.replace("\n", "")), words
