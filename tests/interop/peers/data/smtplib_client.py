"""Python's smtplib as a peer: reads its order as JSON, sends, and prints the recipients refused."""

import base64
import json
import smtplib
import ssl
import sys
from typing import Any


def connect(order: dict[str, Any], context: ssl.SSLContext) -> smtplib.SMTP:
    host, port = order["host"], order["port"]
    if order["protocol"] == "lmtp":
        return smtplib.LMTP(host, port, "client.test", timeout=10)
    if order["tls"] == "implicit":
        return smtplib.SMTP_SSL(host, port, "client.test", timeout=10, context=context)
    return smtplib.SMTP(host, port, "client.test", timeout=10)


def main(order: dict[str, Any]) -> None:
    context = ssl.create_default_context(cafile=order["ca"])
    with connect(order, context) as client:
        client.set_debuglevel(1)
        client.ehlo()
        if order["tls"] == "starttls":
            client.starttls(context=context)
            client.ehlo()
        if order["auth"]:
            client.esmtp_features["auth"] = order["auth"]  # the only one which login() may try
            client.login(order["user"], order["password"])
        message = base64.b64decode(order["message"])
        refused = client.sendmail(order["sender"], order["recipients"], message, order["switches"])
        client.noop()
        client.verify(order["recipients"][0])
        client.rset()
    print(json.dumps({address: code for address, (code, _) in refused.items()}))


if __name__ == "__main__":
    main(json.load(sys.stdin))
