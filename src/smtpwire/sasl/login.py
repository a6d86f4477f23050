"""LOGIN (draft-murchison-sasl-login): PLAIN in two steps, for clients which know no better."""

from __future__ import annotations

from smtpwire.sasl.credentials import Password
from smtpwire.sasl.errors import (
    BadChallengeError,
)
from smtpwire.sasl.mechanism import (
    Ask,
    Challenge,
    ClientExchange,
    ClientMechanismConfig,
    Failed,
    ServerExchange,
    ServerMechanismConfig,
    ServerStep,
    Succeeded,
)
from smtpwire.sasl.names import decoded, received_name, sendable
from smtpwire.sasl.questions import PasswordLogin
from smtpwire.sasl.saslprep import prepared_password
from smtpwire.wire.checked import checked

__all__ = ["LoginClient", "LoginServer"]


class LoginServer(ServerExchange):
    """Two prompts; an initial response is taken as the user name."""

    def __init__(self, name: str, config: ServerMechanismConfig) -> None:
        super().__init__(name, config)
        self._authcid = ""

    def start(self, initial: bytes | None) -> ServerStep:
        if initial is None:
            return Challenge(b"Username:")  # in exactly these words: clients look for them
        return self.step(initial)

    def step(self, response: bytes) -> ServerStep:
        response = checked("response", response, bytes)
        if not self._authcid:
            authcid = received_name(response, self._config.preparation)
            if authcid is None:
                return Failed("the user name is empty or not acceptable", malformed=True)
            self._authcid = authcid
            return Challenge(b"Password:")
        password = decoded(response)
        if password is None or "\0" in password:
            return Failed("the password is not acceptable", malformed=True)
        prepared = prepared_password(password, self._config.preparation)
        if not prepared:
            return Failed("the password is empty or cannot be prepared", malformed=True)
        return Ask(PasswordLogin(self._authcid, prepared, "", self.name))

    def answer(self, accepted: bool) -> ServerStep:
        accepted = checked("accepted", accepted, bool)
        return Succeeded(self._authcid) if accepted else Failed("credentials refused")


class LoginClient(ClientExchange):
    """Answers two prompts, whatever their words: the draft says to ignore them."""

    client_first = False

    def __init__(self, name: str, credentials: Password, config: ClientMechanismConfig) -> None:
        super().__init__(name)
        sendable(name, credentials, authzid=False)
        self._answers = [credentials.password.encode(), credentials.username.encode()]

    def initial(self) -> None:
        return None

    def step(self, challenge: bytes) -> bytes:
        challenge = checked("challenge", challenge, bytes)
        if not self._answers:
            raise BadChallengeError("LOGIN has two prompts only")
        answer = self._answers.pop()
        self.complete: bool = not self._answers
        return answer
