"""A backend as Django's ``EMAIL_BACKEND`` wants it, over one connection for many messages.

EMAIL_BACKEND = "email_backend.EmailBackend"
"""

from collections.abc import Iterable
from email.message import Message
from threading import RLock
from typing import Any, Protocol

from smtpwire import ClientConfig, Password, Security
from smtpwire.adapters.blocking import Client, connect
from smtpwire.operations import SessionError, UnsendableError


class Mail(Protocol):
    """What is used of ``django.core.mail.EmailMessage``."""

    from_email: str

    def recipients(self) -> list[str]: ...

    def message(self) -> Message: ...


class EmailBackend:
    def __init__(
        self,
        host: str = "localhost",
        port: int = 587,
        username: str = "",
        password: str = "",
        fail_silently: bool = False,
        **options: Any,
    ) -> None:
        self._where = host, port, ClientConfig(security=Security.STARTTLS)
        self._credentials = Password(username, password) if username else None
        self._quiet, self._options, self._lock = fail_silently, options, RLock()
        self._client: Client | None = None

    def open(self) -> bool:
        """True where a connection was made, and is the caller's to close."""
        if self._client is not None and self._client.poll():
            return False
        self._client = connect(*self._where, **self._options)
        self._client.open_session(self._credentials)
        return True

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.quit()

    def send_messages(self, messages: Iterable[Mail]) -> int:
        """How many were accepted for all their recipients."""
        with self._lock:
            try:
                opened = self.open()
                sent = sum([self._send(mail) for mail in messages if mail.recipients()])
                if opened:
                    self.close()
            except (OSError, SessionError):
                if not self._quiet:
                    raise
                return 0
            return sent

    def _send(self, mail: Mail) -> bool:
        assert self._client is not None
        try:
            result = self._client.send_message(mail.message(), mail.from_email, mail.recipients())
        except UnsendableError:
            if not self._quiet:
                raise
            return False
        if not self._quiet:
            result.raise_for_refused()
        return not result.refused
