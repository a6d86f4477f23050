"""What to do about a refusal: by what the server says in words, else by its codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from smtpwire.wire.reply import Reply

__all__ = ["advice_on"]

_WORDS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII), advice)
    for pattern, advice in (
        (
            r"gr[ea]ylist",
            "Greylisting: a server that does not know this sender asks every new one to come back."
            " Try again in 5 to 30 minutes from the same address; any queueing MTA does so.",
        ),
        (
            r"spamhaus|spamcop|barracuda|sorbs|dnsbl|\brbl\b|block ?list|black ?list|blocked using"
            r"|listed (?:at|by|in|on)",
            "The sending address stands on a block list. Look it up where the reply says, end what"
            " put it there (a compromised account or machine, a dynamic address), ask to be taken"
            " off; or send by your provider's relay.",
        ),
        (
            r"\bdmarc\b",
            "DMARC: neither SPF nor DKIM passed for the domain of the From field. Sign with that"
            " domain's DKIM key, or send by a server that its SPF record names, and with that"
            " domain as the reverse-path.",
        ),
        (
            r"\bspf\b",
            "SPF: the domain of the reverse-path does not allow this address to send. Add the"
            " address to that domain's SPF record (TXT, v=spf1 …), or send by a server it names.",
        ),
        (
            r"\bdkim\b",
            "DKIM: no signature that passes. Sign with the key whose public half the domain's"
            " selector._domainkey record holds, and let nothing change the message behind it.",
        ),
        (
            r"reverse (?:dns|hostname|lookup)|\bptr\b|rdns|cannot find your (?:reverse )?hostname",
            "The sending address has no name by reverse DNS, or one that does not lead back to it."
            " Have whoever owns the address set a PTR record, and that name an A or AAAA record.",
        ),
        (
            r"helo|ehlo",
            "The server objects to the name in EHLO. Say a full name that DNS knows, best the one"
            " the address has by reverse DNS (RFC 5321 §4.1.1.1); not localhost, no bare address.",
        ),
        (
            r"relay(?:ing)? (?:access )?(?:is )?(?:denied|not|prohibited)|not permitted to relay"
            r"|unable to relay|we do not relay|relay not permitted",
            "This server does not take mail for that domain from you. Log in (port 587 or 465), if"
            " it is your provider's; else look the domain's MX records up: that is where its mail"
            " goes; or add the domain to what the server takes mail for.",
        ),
        (
            r"application-specific password|app(?:lication)? password|basic authentication is"
            r" disabled|smtpclientauthentication is disabled",
            "The account takes no plain password here: make an application password, or use"
            " XOAUTH2 or OAUTHBEARER with a token.",
        ),
        (
            r"must issue a starttls|starttls (?:is )?required|encryption (?:is )?required"
            r"|encrypted connection|tls (?:is )?required",
            "The server wants TLS first: send STARTTLS after EHLO, or use port 465.",
        ),
        (
            r"auth(?:entication)?(?: is)? (?:required|needed)|must (?:first )?authenticate"
            r"|please authenticate|not authenticated|authenticate first|log ?in first",
            "The server wants a login first: AUTH, behind STARTTLS where it is not offered before.",
        ),
        (
            r"authentication (?:failed|failure|unsuccessful|credentials invalid)|bad credentials"
            r"|username and password not accepted|invalid (?:login|credentials|password)"
            r"|incorrect authentication",
            "User or password are wrong for this server, or the mechanism is not allowed for this"
            " account. Check the user's full form (often the whole address), the password, and"
            " whether the provider wants an application password.",
        ),
        (
            r"sender (?:address )?rejected: domain not found|sender verify|callout"
            r"|sender (?:domain|address) .*(?:not exist|not resolve|cannot be verified)"
            r"|no (?:a|mx) (?:or mx )?record",
            "The domain of the reverse-path does not exist in DNS, has no MX, or its server does"
            " not know the address. Use a sender that mail can come back to.",
        ),
        (
            r"(?:sender|from) .*not owned|not allowed to send|send as|sender address rejected",
            "Whoever logged in may not use this sender's address. Use the account's own address,"
            " or have the other one allowed.",
        ),
        (
            r"rate|too many (?:connections|messages|mails|emails)|throttl|try again later"
            r"|temporarily (?:deferred|blocked|rejected)|unusual rate",
            "The server slows this sender down. Keep the message queued, open fewer connections,"
            " send less at a time; where it lasts, the address's reputation is the reason.",
        ),
        (
            r"quota|mailbox (?:is )?full|over ?quota|insufficient (?:system )?storage",
            "The mailbox, or the server's disk, is full: try again later, or reach the recipient"
            " in another way.",
        ),
        (
            r"(?:message|size) .*(?:too (?:big|large)|exceeds)|(?:exceeds|maximum).*(?:size|limit)",
            "The message is larger than the server takes; SIZE in the reply to EHLO says how large"
            " one may be. base64 makes attachments a third larger: send a link instead.",
        ),
        (
            r"spam|unsolicited|content (?:rejected|filter)|virus|malware",
            "A filter of content refused the message. Look at links, attachments and the sender's"
            " reputation; send a plain message to see whether it is the content.",
        ),
        (
            r"(?:user|recipient|mailbox|address|account).*(?:unknown|not found|does ?n.t exist"
            r"|not exist|unavailable|disabled|inactive)|no such (?:user|recipient|mailbox|person)"
            r"|unknown (?:user|recipient|mailbox)|invalid (?:recipient|mailbox)",
            "The server does not know this recipient. Check the address; if it is right, ask the"
            " recipient in another way. Do not try again: addresses that do not exist cost"
            " reputation.",
        ),
        (
            r"pipelin|synchroni[sz]ation|talk.*too soon|before (?:the )?(?:greeting|banner)",
            "The client sent commands before it had the reply it must wait for: that of the"
            " greeting, EHLO, DATA, or any where PIPELINING is not offered (RFC 2920 §3.1).",
        ),
        (
            r"bare (?:<?lf>?|<?cr>?|newline)|line ends?",
            "The client ends lines with LF or CR alone. Every line of SMTP ends with CRLF"
            " (RFC 5321 §2.3.8); servers refuse others since SMTP smuggling.",
        ),
        (
            r"smtputf8|non-ascii|utf-?8",
            "The address or header is not ASCII and the server does not take SMTPUTF8"
            " (RFC 6531 §3.2): use an ASCII address.",
        ),
    )
)

_ENHANCED: Final[Mapping[tuple[int, int], str]] = {
    (1, 1): "The recipient does not exist: check the address; do not try again.",
    (1, 2): "The recipient's domain does not exist or takes no mail: check it, and its MX records.",
    (1, 3): "The recipient's address is not written as one: check quotes, blanks and the domain.",
    (1, 6): "The recipient has moved and left no new address.",
    (1, 7): "The sender's address is not written as one: check it.",
    (1, 8): "The sender's domain does not exist in DNS, or takes no mail: use one that does.",
    (1, 10): "The recipient's domain says that it takes no mail (null MX, RFC 7505).",
    (2, 1): "The mailbox is disabled: reach the recipient in another way.",
    (2, 2): "The mailbox is full: try again later.",
    (2, 3): "The message is too large for this mailbox: make it smaller.",
    (3, 1): "The server's disk is full: try again later.",
    (3, 2): "The server takes no mail now: try again later, or the next MX.",
    (3, 4): "The message is too large for this server: see SIZE in the reply to EHLO.",
    (4, 1): "The next server did not answer: try again later.",
    (4, 2): "The connection broke: try again later.",
    (4, 3): "A directory or DNS look-up failed at the server: try again later.",
    (4, 5): "The server is overloaded: try again later.",
    (4, 6): "The message goes round in a loop: look at its Received fields and at forwardings.",
    (4, 7): "The message was too long in a queue.",
    (5, 1): "The command is not possible here: see the rule above, and what EHLO offers.",
    (5, 2): "The command is not written as the grammar has it: see the rule above.",
    (5, 3): "Too many recipients in one transaction: send to the others in another (RFC 5321"
    " §4.5.3.1.10).",
    (5, 4): "A parameter is not one that this server offers: see its reply to EHLO.",
    (6, 7): "The server does not take addresses beyond ASCII (RFC 6531): use an ASCII address.",
    (7, 0): "Policy or security: log in, use TLS, or ask the server's postmaster for the reason.",
    (7, 1): "The server's policy does not let you send this: log in if it is your provider's;"
    " else its text, or its postmaster, says which policy.",
    (7, 8): "User or password are wrong, or need another form: see the provider's instructions.",
    (7, 9): "The mechanism is too weak for this account: use another, or an application password.",
    (7, 10): "TLS is needed first: STARTTLS, or port 465.",
    (7, 11): "This mechanism is allowed under TLS only: STARTTLS first.",
    (7, 13): "The account is disabled: ask the provider.",
    (7, 20): "No DKIM signature passes: sign with the domain's key (RFC 6376).",
    (7, 23): "SPF fails: let the domain's SPF record name this address (RFC 7208).",
    (7, 25): "Reverse DNS of the sending address fails: have a PTR record set that leads back.",
    (7, 26): "SPF, DKIM and DMARC fail together: authenticate the mail for the domain of From.",
    (7, 27): "The sender's domain has a null MX: use a sender that takes mail (RFC 7505).",
    (7, 28): "Too much mail at once: send less, later.",
    (7, 30): "REQUIRETLS: the next server cannot promise TLS (RFC 8689).",
}

_BASIC: Final[Mapping[int, str]] = {
    421: "The server ends the session: try again later, on a new connection.",
    450: "Refused for now: try again later.",
    451: "The server has a trouble of its own: try again later.",
    452: "No room, or too many recipients at once: try the rest again.",
    454: "TLS or authentication is broken at the server for now: try again later.",
    455: "The server cannot take these parameters now.",
    500: "The server does not know this command, or it is too long: is it ESMTP at all?",
    501: "The argument is wrong: see the rule above.",
    502: "The server has not got this command.",
    503: "Not at this point: another command must come first, or has been refused before.",
    504: "The server has not got this parameter or mechanism: see its reply to EHLO.",
    521: "This host takes no mail at all (RFC 7504): look up the domain's MX records.",
    530: "Log in, or STARTTLS, first.",
    534: "The mechanism is too weak for this account.",
    535: "User or password are wrong, or need another form.",
    538: "This mechanism is allowed under TLS only.",
    550: "Refused for good: the mailbox does not exist, or a policy forbids it; the text may say.",
    551: "The recipient is elsewhere: the text may say where.",
    552: "Too much: of the mailbox's quota, or for one message.",
    553: "The address is not one that this server allows.",
    554: "Refused for good; the text may say why, else the server's postmaster.",
    555: "A parameter of MAIL or RCPT that the server does not know: leave it out.",
    556: "The domain takes no mail (RFC 7504).",
}

_CLASSES: Final[Mapping[int, str]] = {
    4: "Refused for now: try again later.",
    5: "Refused for good: the same will be refused again.",
}


def advice_on(reply: Reply) -> str:
    """What to do about a refusal, in words; "" where it is none."""
    if reply.severity not in _CLASSES:
        return ""
    for pattern, advice in _WORDS:
        if pattern.search(reply.text):
            return advice
    _, subject, detail = reply.status or (0, -1, -1)
    return _ENHANCED.get((subject, detail)) or _BASIC.get(reply.code) or _CLASSES[reply.severity]
