"""The example of aiosmtpd's documentation, ported: a handler becomes a Service.

There::

    class ExampleHandler:
        async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
            if not address.endswith("@example.com"):
                return "550 not relaying to that domain"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server, session, envelope):
            print("Message from %s" % envelope.mail_from)
            print("Message for %s" % envelope.rcpt_tos)
            for ln in envelope.content.decode("utf8", errors="replace").splitlines():
                print(f"> {ln}".strip())
            return "250 Message accepted for delivery"

    controller = Controller(ExampleHandler())
    controller.start()
"""

import sys

from smtpwire import Rcpt, Reply, ServerConfig
from smtpwire.adapters.blocking import start_server
from smtpwire.service import Message, Service, Session


class Example(Service):
    def rcpt(self, session: Session, command: Rcpt, /) -> Reply:
        if command.address.domain != "example.com":
            return Reply(550, "not relaying to that domain", "5.7.1")
        return Reply(250, "OK", "2.1.5")

    def message(self, session: Session, message: Message, /) -> Reply:
        print("Message from", message.envelope.reverse_path)
        print("Message for", *message.envelope.forward_paths)
        for line in message.content.decode("utf-8", errors="replace").splitlines():
            print(">", line)
        return Reply(250, "Message accepted for delivery", "2.0.0")


def main(port: str = "8025") -> None:
    with start_server(Example(), ServerConfig.relay("localhost"), "127.0.0.1", int(port)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
