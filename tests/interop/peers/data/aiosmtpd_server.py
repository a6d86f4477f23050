"""aiosmtpd as a peer: ``aiosmtpd_server.py PLAIN-PORT TLS-PORT CERT KEY DELIVERED [lmtp]``.

Each message received is written as a JSON file below DELIVERED.
"""

import asyncio
import base64
import json
import ssl
import sys
from pathlib import Path

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Handler:
    """Takes mail for everybody but reject5@ and reject4@."""

    def __init__(self, delivered: Path) -> None:
        self.delivered = delivered
        self.serial = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("reject5"):
            return "550 5.1.1 no such user"
        if address.startswith("reject4"):
            return "450 4.2.1 try later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.append(options)  # type: ignore[arg-type]  # one list a recipient
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        record = {
            "from": envelope.mail_from,
            "from_parameters": envelope.mail_options,
            "to": envelope.rcpt_tos,
            "to_parameters": envelope.rcpt_options,
            "data": base64.b64encode(envelope.original_content or b"").decode(),
        }
        file = self.delivered / f"{self.serial:06}"
        self.serial += 1
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(record))
        temporary.rename(file.with_suffix(".json"))
        return "250 OK"


def authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", b"pencil")
    return AuthResult(handled=False, success=good, auth_data=data)


async def main(
    plain: int, tls: int, certificate: str, key: str, delivered: str, lmtp: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    handler = Handler(Path(delivered))

    def protocol(starttls: ssl.SSLContext | None) -> SMTP:
        return (LMTP if lmtp else SMTP)(
            handler,
            hostname="localhost",
            enable_SMTPUTF8=True,
            authenticator=authenticate,
            auth_require_tls=False,
            tls_context=starttls,
            loop=loop,
        )

    await loop.create_server(lambda: protocol(context), "127.0.0.1", plain)
    await loop.create_server(lambda: protocol(None), "127.0.0.1", tls, ssl=context)
    await asyncio.Event().wait()


if __name__ == "__main__":
    plain, tls, certificate, key, delivered = sys.argv[1:6]
    asyncio.run(main(int(plain), int(tls), certificate, key, delivered, sys.argv[6:] == ["lmtp"]))
