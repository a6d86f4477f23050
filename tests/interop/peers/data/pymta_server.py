"""pymta as a peer: ``pymta_server.py PORT CERT KEY DELIVERED``.

It has no TLS. Each message is written to DELIVERED, a JSON file each.
"""

import base64
import json
import sys
import uuid
from pathlib import Path

from pymta import PythonMTA
from pymta.api import IMessageDeliverer, IMTAPolicy, PolicyDecision
from pymta.model import Message

REPLIES = {"reject5": (550, "No such user here"), "reject4": (450, "Try again later")}


class Deliverer(IMessageDeliverer):
    def new_message_accepted(self, message: Message) -> None:
        content = message.msg_data.encode() + b"\r\n"  # it takes the last line end for the dot's
        data = base64.b64encode(content).decode()
        record = {"from": message.smtp_from, "to": message.smtp_to, "data": data}
        file = Path(sys.argv[4], f"{uuid.uuid4()}.tmp")
        file.write_text(json.dumps(record))
        file.rename(file.with_suffix(".json"))


class Policy(IMTAPolicy):
    def accept_rcpt_to(self, recipient: str, message: Message) -> PolicyDecision:
        reply = REPLIES.get(recipient.partition("@")[0])
        return PolicyDecision(reply is None, reply)


PythonMTA("127.0.0.1", int(sys.argv[1]), Deliverer, Policy).serve_forever()
