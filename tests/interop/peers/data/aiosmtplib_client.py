"""aiosmtplib as a peer: reads its order as JSON, sends, and prints the recipients refused."""

import asyncio
import base64
import json
import sys
from typing import Any

import aiosmtplib


async def main(order: dict[str, Any]) -> None:
    client = aiosmtplib.SMTP(
        hostname=order["host"],
        port=order["port"],
        use_tls=order["tls"] == "implicit",
        start_tls=order["tls"] == "starttls",
        cert_bundle=order["ca"],
        local_hostname="client.test",
        timeout=10,
    )
    async with client:
        await client.ehlo()
        user, password = order["user"], order["password"]
        match order["auth"]:
            case "PLAIN":
                await client.auth_plain(user, password)
            case "LOGIN":
                await client.auth_login(user, password)
            case "CRAM-MD5":
                await client.auth_crammd5(user, password)
            case "XOAUTH2":
                await client.auth_xoauth2(user, order["token"])
        message = base64.b64decode(order["message"])
        refused, _ = await client.sendmail(order["sender"], order["recipients"], message)
    print(json.dumps({address: response.code for address, response in refused.items()}))


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
