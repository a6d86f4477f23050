"""The fixtures of pytest: ``smtp_sink`` and ``smtp_script``.

pytest finds them by itself where smtpwire is installed; nothing else of it is loaded until a test
asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from smtpwire.testing.collector import Sink
    from smtpwire.testing.loopback import ScriptedServer

__all__ = ["smtp_script", "smtp_sink"]


@pytest.fixture
def smtp_sink() -> Iterator[Sink]:
    """A running server that collects messages: ``smtp_sink.messages[0].email["Subject"]``.

    For TLS, a login, LMTP or refusals use ``smtpwire.testing.sink`` itself.
    """
    from smtpwire.testing.collector import sink

    with sink() as running:
        yield running


class PlayScript(Protocol):
    """What ``smtp_script`` gives: called with a script's text, it plays the server."""

    def __call__(self, text: str, values: Mapping[str, str] | None = None) -> ScriptedServer: ...


@pytest.fixture
def smtp_script() -> Iterator[PlayScript]:
    """Play a server from a script: ``server = smtp_script("...\\nC: RCPT ...\\nS: 421 bye")``.

    The test fails at its end where the client did not keep to the script.
    """
    from smtpwire.testing.script import Script

    with ExitStack() as stack:

        def play(text: str, values: Mapping[str, str] | None = None) -> ScriptedServer:
            return stack.enter_context(Script(text, values=values or {}).listen())

        yield play
