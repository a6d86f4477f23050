"""The usual lines with smtplib, ported.

There::

    with smtplib.SMTP(host, port) as server:
        server.starttls(context=ssl.create_default_context())
        server.login(user, password)
        refused = server.send_message(message)
"""

import sys
from email import message_from_binary_file
from email.policy import SMTP

from smtpwire import ClientConfig, Password, Security
from smtpwire.adapters import blocking


def main(host: str, port: str, user: str, password: str) -> None:
    message = message_from_binary_file(sys.stdin.buffer, policy=SMTP)
    with blocking.connect(host, int(port), ClientConfig(security=Security.STARTTLS)) as client:
        client.open_session(Password(user, password))
        for item in client.send_message(message).refused:
            print(item.recipient, item.reply or item.reason)


if __name__ == "__main__":
    main(*sys.argv[1:])
