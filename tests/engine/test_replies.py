"""What a server says by itself: every kind of reply, its code, its enhanced code and its text."""

from smtpwire.engine.replies import DEFAULT_REPLIES, FIXED_CODES, ReplyKind
from smtpwire.engine.security import Security
from smtpwire.engine.state import State


def test_every_reply() -> None:
    # RFC 5321 §4.2.2, RFC 3463, RFC 4954 §6, RFC 3207 §4
    table = """
        GREETING 220 ESMTP
        HELLO 250
        SENDER_OK 250 2.1.0 Sender OK
        RECIPIENT_OK 250 2.1.5 Recipient OK
        RELAYING_DENIED 550 5.7.1 Relaying denied
        SEND_DATA 354 Go ahead
        CHUNK_OK 250 2.0.0 Octets received
        MESSAGE_OK 250 2.0.0 Message accepted
        RESET 250 2.0.0 OK
        NOOP 250 2.0.0 OK
        HELP 214 2.0.0 See RFC 5321
        GOODBYE 221 2.0.0 Goodbye
        CANNOT_VERIFY 252 2.5.0 Cannot verify, will take the message
        CANNOT_EXPAND 550 5.7.2 Mailing list expansion prohibited
        NOT_IMPLEMENTED 502 5.5.1 Command not implemented
        BAD_SEQUENCE 503 5.5.1 Bad sequence of commands
        NO_RECIPIENTS 503 5.5.1 No recipients
        BODY_FAILED 503 5.5.1 The transaction has failed, send RSET
        TOO_LARGE 552 5.3.4 Message too large
        TOO_MANY_RECIPIENTS 452 4.5.3 Too many recipients
        TOO_MANY_MESSAGES 452 4.5.3 Too many messages in this session
        TOO_MANY_CONNECTIONS 421 4.3.2 Too many connections
        TOO_MANY_ERRORS 421 4.7.0 Too many errors
        TOO_MANY_COMMANDS 421 4.7.0 Too many commands without a message
        TOO_MANY_REFUSED_RECIPIENTS 421 4.7.0 Too many recipients refused
        TOO_MANY_AUTHENTICATIONS 421 4.7.0 Too many failed authentications
        BARE_LINE_END 554 5.6.0 Bare CR or LF in the message
        CLOSING 421 4.7.0 Protocol violation
        TOO_MUCH 421 4.3.4 Too much data
        EARLY_TALK 554 5.5.1 Talk after the greeting
        TLS_READY 220 2.0.0 Ready to start TLS
        TLS_NOT_AVAILABLE 502 5.5.1 TLS not available
        TLS_ACTIVE 503 5.5.1 STARTTLS not possible now
        TLS_REQUIRED 530 5.7.0 Must issue a STARTTLS command first
        PLAINTEXT_BEHIND_STARTTLS 554 5.5.1 Commands behind STARTTLS
        AUTH_REQUIRED 530 5.7.0 Authentication required
        AUTH_OK 235 2.7.0 Authentication succeeded
        AUTH_FAILED 535 5.7.8 Authentication credentials invalid
        AUTH_CANCELLED 501 5.7.0 Authentication cancelled
        AUTH_MALFORMED 501 5.5.2 Cannot read the response
        AUTH_NO_MECHANISM 504 5.5.4 Mechanism not available
        AUTH_NO_INITIAL_RESPONSE 501 5.7.0 This mechanism takes no initial response
        AUTH_TOO_LONG 500 5.5.6 Authentication line too long
        AUTH_TROUBLE 454 4.7.0 Temporary authentication failure
        TIMEOUT 421 4.4.2 Timeout
        SHUTDOWN 421 4.3.2 Service shutting down
        REFUSED 550 5.7.1 Not permitted
        TROUBLE 451 4.3.0 Local error in processing
        RECIPIENTS_FIRST 353 A reply a recipient follows
    """
    made = []
    for kind, reply in DEFAULT_REPLIES.items():
        words = (kind.name, str(reply.code), reply.enhanced, reply.text)
        made.append(" ".join(word for word in words if word))
    assert made == [line.strip() for line in table.strip().splitlines()]
    assert DEFAULT_REPLIES.keys() == set(ReplyKind)


def test_when_each_is_said() -> None:
    table = """
        GREETING: the greeting
        HELLO: EHLO, HELO or LHLO accepted: the text of the first line
        SENDER_OK: MAIL accepted
        RECIPIENT_OK: RCPT accepted
        RELAYING_DENIED: RCPT without a decision, for a domain that is not local
        SEND_DATA: DATA accepted
        CHUNK_OK: a chunk received
        MESSAGE_OK: a message accepted
        RESET: RSET
        NOOP: NOOP
        HELP: HELP
        GOODBYE: QUIT
        CANNOT_VERIFY: VRFY without a decision
        CANNOT_EXPAND: EXPN without a decision, where it is offered
        NOT_IMPLEMENTED: a verb that is known and not implemented
        BAD_SEQUENCE: a command out of sequence
        NO_RECIPIENTS: the body without a recipient
        BODY_FAILED: a chunk of a transaction that has failed
        TOO_LARGE: over the message limit
        TOO_MANY_RECIPIENTS: over the recipient limit
        TOO_MANY_MESSAGES: over the limit of messages that LIMITS told
        TOO_MANY_CONNECTIONS: too many connections: in the greeting's place
        TOO_MANY_ERRORS: over the limit of errors
        TOO_MANY_COMMANDS: over the limit of junk
        TOO_MANY_REFUSED_RECIPIENTS: over the limit of refused recipients
        TOO_MANY_AUTHENTICATIONS: over the limit of failed authentications
        BARE_LINE_END: CR or LF alone
        CLOSING: a fatal violation
        TOO_MUCH: over the limit of what is dropped
        EARLY_TALK: talk before the greeting, where that is refused
        TLS_READY: STARTTLS accepted
        TLS_NOT_AVAILABLE: STARTTLS where it is not offered
        TLS_ACTIVE: STARTTLS under TLS, or after AUTH
        TLS_REQUIRED: a command that needs TLS first
        PLAINTEXT_BEHIND_STARTTLS: plaintext behind STARTTLS
        AUTH_REQUIRED: a command that needs AUTH first
        AUTH_OK: AUTH succeeded
        AUTH_FAILED: AUTH failed
        AUTH_CANCELLED: AUTH cancelled with *
        AUTH_MALFORMED: AUTH: no base64, or no message of the mechanism
        AUTH_NO_MECHANISM: AUTH: the mechanism is unknown or not to be used now
        AUTH_NO_INITIAL_RESPONSE: AUTH: an initial response for a server-first mechanism
        AUTH_TOO_LONG: AUTH: over-long line
        AUTH_TROUBLE: AUTH: no answer to be had now
        TIMEOUT: the peer was too slow
        SHUTDOWN: the service ends
        REFUSED: an extension's command without a decision: a default grants nothing
        TROUBLE: the application failed
        RECIPIENTS_FIRST: PRDR: a reply a recipient follows
    """
    made = [f"{kind.name}: {kind.value}" for kind in ReplyKind]
    assert made == [line.strip() for line in table.strip().splitlines()]


def test_codes_that_are_the_protocol_s() -> None:
    names = {"GREETING", "HELLO", "SEND_DATA", "GOODBYE", "TLS_READY", "AUTH_OK"}
    assert {kind.name for kind in FIXED_CODES} == names | {"RECIPIENTS_FIRST"}


def test_words_of_a_configuration_and_of_a_log() -> None:
    assert [each.value for each in Security] == ["none", "opportunistic", "starttls", "implicit"]
    states = "greeting hello ready mail rcpt data chunks auth tls closed"
    assert [each.value for each in State] == states.split()
