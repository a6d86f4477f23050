"""How a server receives a message: DATA, chunks, and the replies to the end of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from smtpwire.engine.errors import LocalProtocolError
from smtpwire.engine.events import (
    Aborted,
    BodyChunk,
    EndOfMessage,
    proven_envelope,
)
from smtpwire.engine.incoming import IncomingBody
from smtpwire.engine.need import NEED_DATA, NEED_WRITE
from smtpwire.engine.policy import Policy
from smtpwire.engine.replies import ReplyKind
from smtpwire.engine.server_config import complete
from smtpwire.engine.server_core import CLOSED, FOLLOWING, READ_COMMAND, Item, Replies, ServerCore
from smtpwire.engine.state import State
from smtpwire.engine.violation import ViolationKind
from smtpwire.extensions import (
    CHUNKING,
    Burl,
)
from smtpwire.wire.body import REJECT, DotDecoder, LineEndingCheck
from smtpwire.wire.command import (
    Bdat,
    Data,
    Mail,
)
from smtpwire.wire.reply import Reply
from smtpwire.wire.value import Request

__all__ = ["ServerBody"]

SEND_DATA: Final = ReplyKind.SEND_DATA
MESSAGE_OK: Final = ReplyKind.MESSAGE_OK
BLOCK: Final = 65536
"""Octets of a body decoded at once: what stands behind its end is copied."""


class ServerBody(ServerCore):
    """The body of a message: DATA (RFC 5321 §4.1.1.4), BDAT (RFC 3030), BURL (RFC 4468)."""

    __slots__ = ()

    # -- chunks (RFC 3030)

    def _on_bdat(self, command: Bdat) -> Data | None:
        """Frame the chunk whatever becomes of it: a body is never read as commands."""
        kind = self._chunk_refusal(command)
        body = self._body
        if self._refused is not None or kind is not None:
            texts = self._config.texts
            reply = self._service_refused() if kind is None else texts[kind]
            replies = self._replies_to_refused(command)
            follows = kind is None or kind in FOLLOWING
            self._read_past(command.size, reply, replies=replies, follows=follows)
            return None
        if self._never_fits(command.size):
            reply = self._config.texts[ReplyKind.TOO_LARGE]
            if body is not None and body.refusal is not None:
                reply = body.refusal
            self._refuse_endless(reply, self._replies_to_refused(command))
            return None
        if not command.size and not command.last and self._is_junk():
            return None
        if body is not None:
            body.chunk_left, body.last = command.size, command.last
            self._step = ServerBody._read_chunk
            return None
        self._begin_chunks(command.size, last=command.last)
        return Data(chunking=True)

    def _chunk_refusal(self, command: Bdat) -> ReplyKind | None:
        config, body = self._config, self._body
        kind = None
        if self._refused is not None:
            return None
        if CHUNKING not in self._plan.offer:
            kind = ReplyKind.NOT_IMPLEMENTED
        elif body is not None and body.refused:
            kind = ReplyKind.BODY_FAILED
        elif config.require_tls or config.require_auth:
            kind = self._required_first(command)
        if kind is None and self._state is State.MAIL:
            kind = ReplyKind.NO_RECIPIENTS
        if kind is None and "BDAT" not in self._state.commands:
            kind = ReplyKind.BAD_SEQUENCE
        return kind

    def _never_fits(self, size: int) -> bool:
        """Whether a chunk is more than the message may still have and what may be dropped of it."""
        body, limit = self._body, self._plan.message
        swallow = self._config.limits.swallow
        if body is not None and body.refusal is not None:
            return size > swallow - self._dropped
        had = 0 if body is None else body.size
        return 0 < limit < had + size - swallow

    def _replies_to_refused(self, command: Bdat) -> int:
        # RFC 2033 §4.3: LAST has a reply a recipient, and none where there is no recipient.
        per_recipient = self._lmtp and command.last and CHUNKING in self._plan.offer
        return len(self._recipients) if per_recipient else 1

    def _begin_chunks(self, size: int, *, last: bool) -> None:
        check = LineEndingCheck() if self._config.check_chunks else None
        body = self._body = IncomingBody(None, check)
        # RFC 3030 §2: text has CRLF at its line ends by BDAT, too; only BINARYMIME is any octets.
        strict = self._config.line_endings is REJECT and not self._binary
        body.strict = strict and check is not None
        body.chunk_left, body.last = size, last

    def _read_chunk(self) -> Item | None:
        body = self._running_body()
        if not body.chunk_left:
            return self._end_of_chunk(body)
        octets = self._input.take(body.chunk_left)
        if not octets:
            return self._more()
        body.chunk_left -= len(octets)
        return self._content(body, octets)

    def _end_of_chunk(self, body: IncomingBody) -> Item | None:
        if body.last:
            return self._end_of_body()
        self._step = READ_COMMAND
        if body.refusal is None:
            self._write(self._octets(ReplyKind.CHUNK_OK))
        else:
            self._fail_chunks(body)
            self._write(self._serialised(body.refusal))
            self._wasted()
        return None

    def _on_burl(self, command: Burl) -> Data | Burl | None:
        """A chunk the application fetches itself (RFC 4468 §3.2)."""
        body = self._body
        if self._forbidden(command, "BURL"):
            return None
        if body is None:
            self._begin_chunks(0, last=command.last)
            self._burl = command
            return Data(chunking=True)
        if body.refused:
            self._refuse_kind(ReplyKind.BODY_FAILED)
            return None
        if self._is_junk():
            return None
        body.chunk_left, body.last = 0, command.last
        if body.refusal is not None:
            self._end_of_chunk(body)
            return None
        return command

    # -- the body

    def _running_body(self) -> IncomingBody:
        body: IncomingBody = self._body  # type: ignore[assignment]  # called only while there is one
        return body

    def _read_data(self) -> Item | None:
        if not self._input.waiting:
            return self._more() if self._eof else NEED_DATA
        if self._must_flush and self._output:
            return NEED_WRITE  # RFC 2920 §3.2: the 354 must not wait for the body
        octets = self._input.take(BLOCK)
        # This step is taken only while a body comes by DATA.
        body: IncomingBody = self._body  # type: ignore[assignment]
        decoder: DotDecoder = body.decoder  # type: ignore[assignment]
        content = decoder.decode(octets)
        if decoder.finished:
            if decoder.rest:
                self._input.give_back(decoder.rest)
            self._step = END_OF_BODY
        elif body.refusal is not None:
            return self._content(body, octets)  # of which the decoder gives no more
        item = self._content(body, content) if content else None
        if decoder.violation is not None and body.refusal is None:
            if item is not None:
                self._tell(item)
            return self._bare_line_end(body, decoder)
        return item

    def _content(self, body: IncomingBody, octets: bytes) -> BodyChunk | None:
        """Hand on a piece of content, unless it no longer matters."""
        size = len(octets)
        self._body_octets += size
        if body.refusal is not None:
            self._drop(size)
            return None
        limit = self._plan.message
        room = limit - body.size if limit else size
        if size > room:  # hand on what fits, so that it does not matter how the content was cut
            octets = octets[:room]
        if body.check is not None:
            if body.strict:
                bare = body.check.find(octets)
                if bare is not None:
                    self._bare_in_chunk(body, octets, bare, self._input.offset - size)
                    return None
            else:
                body.check.update(octets)
        if size > room:
            if octets:
                self._tell(BodyChunk(octets))
            self._fail_body(body, self._text(ReplyKind.TOO_LARGE), Aborted.LIMIT)
            return None
        body.size += size
        return BodyChunk(octets)

    def _bare_in_chunk(self, body: IncomingBody, octets: bytes, bare: int, start: int) -> None:
        """Hand on what stands before it; of a CR what follows tells that it is bare."""
        is_cr = bare < 0 or octets[bare : bare + 1] == b"\r"
        if before := octets[: bare + 1 if is_cr else bare]:
            self._tell(BodyChunk(before))
        kind = ViolationKind.BARE_CR if is_cr else ViolationKind.BARE_LF
        self._refuse_bare(body, kind, start + bare)

    def _bare_line_end(self, body: IncomingBody, decoder: DotDecoder) -> Item | None:
        kind = ViolationKind.BARE_CR if decoder.bare == b"\r" else ViolationKind.BARE_LF
        self._refuse_bare(body, kind, body.start + (decoder.violation or 0))
        return None

    def _refuse_bare(self, body: IncomingBody, kind: ViolationKind, offset: int) -> None:
        if self._violation(kind, offset) is not Policy.CLOSE:
            self._fail_body(body, self._text(ReplyKind.BARE_LINE_END), Aborted.CONTENT)

    def _early_verdict(self, replies: Replies, to: Request | None) -> None:
        body = self._body
        if body is None or not body.open or to is not None or len(replies) != 1:
            raise LocalProtocolError("no question is pending")
        reply = complete(replies[0])
        if reply.code < 400:
            raise LocalProtocolError("an early verdict is 4yz or 5yz")
        self._serialised(reply)
        self._fail_body(body, reply, Aborted.REFUSED)
        if reply.code == 421:
            self.shutdown(reply)

    def _end_of_body(self) -> Item | None:
        body: IncomingBody = self._body  # type: ignore[assignment]  # as above
        self._step = READ_COMMAND
        if body.strict and body.open and not body.canonical:  # CR is the last octet
            self._refuse_bare(body, ViolationKind.BARE_CR, self._input.offset - 1)
            if self._state is CLOSED:
                return None
        if body.refusal is not None:
            octets = self._serialised(body.refusal)
            for _ in range(len(self._recipients) if self._lmtp else 1):
                self._write(octets)
            self._end_transaction()
            self._wasted()
            return None
        body.open = False
        mail: Mail = self._mail  # type: ignore[assignment]  # a body belongs to a transaction
        envelope = proven_envelope(mail, tuple(self._recipients))
        self._owed = 1 if not self._lmtp and not self._prdr else self._replies_after_body()
        return self._ask(EndOfMessage(envelope, body.size, body.canonical))

    def _replies_after_body(self) -> int:
        """In LMTP one a recipient (RFC 2033 §4.2); with PRDR one more, for all of them."""
        recipients = len(self._recipients)
        return recipients if self._lmtp else recipients + 1

    # -- answers

    def _answer_data(self, data: Data, replies: Replies) -> None:
        reply = self._data_reply(replies, data) if replies else None
        if data.chunking:
            self._answer_chunks(reply)
        elif reply is not None and not reply.is_intermediate:
            self._must_flush = True
            self._watch_for_body()
            self._say(reply)
            self._wasted()
        else:
            self._state = self._state.commands["DATA"]
            self._step = READ_DATA
            decoder = DotDecoder(self._config.line_endings)
            start = self._input.received - self._input.waiting
            self._body = IncomingBody(decoder, None, start)
            self._must_flush = True
            if reply is None:
                self._say_kind(SEND_DATA)
            else:
                self._say(reply)

    def _data_reply(self, replies: Replies, data: Data) -> Reply:
        go_on = len(replies) == 1 and replies[0].is_positive and data.chunking
        return replies[0] if go_on else self._one(replies, 354)

    def _answer_chunks(self, reply: Reply | None) -> None:
        """Nothing is sent yet: a refusal is the answer to the chunk, once it has been read."""
        body = self._running_body()
        burl, self._burl = self._burl, None
        self._enter("BDAT")
        self._step = ServerBody._read_chunk
        body.open = reply is None or reply.code < 400
        if reply is not None and not body.open:
            body.refusal = complete(reply)
            self._dropped = 0
        if reply is not None and reply.code == 421:
            self._say(reply)
        elif self._shutdown is not None:
            self._settle(None)
        else:
            self._answered()
            if burl is not None and body.open:
                self._ask_later(burl)

    def _answer_burl(self, _: Burl, replies: Replies) -> None:
        body = self._running_body()
        reply = self._one(replies, None) if replies else self._text(ReplyKind.REFUSED)
        if reply.is_positive and body.last:
            self._answered()
            self._step = END_OF_BODY
            return
        if not reply.is_positive:
            self._fail_body(body, complete(reply), Aborted.REFUSED)
            self._fail_chunks(body)
            if body.last:
                self._end_transaction()
        self._step = READ_COMMAND
        self._say(reply)
        if not reply.is_positive:
            self._wasted()

    def _answer_end(self, _: EndOfMessage, replies: Replies) -> None:
        if self._lmtp or self._prdr:
            self._answer_recipients(replies)
            return
        reply = self._one(replies, None, utf8=self._utf8) if replies else None
        utf8 = self._utf8
        self._end_transaction()
        if reply is None or reply.is_positive:
            self._message_accepted()
        if reply is None:
            self._say_kind(MESSAGE_OK)
            return
        self._say(reply, utf8=utf8)
        if not reply.is_positive:
            self._wasted()

    def _answer_recipients(self, replies: Replies) -> None:
        """LMTP and PRDR: a reply a recipient, in order (RFC 2033 §4.2)."""
        if len(replies) > self._owed:
            raise LocalProtocolError(f"{self._owed} replies are owed, not {len(replies)}")
        given = [complete(self._one((reply,), None, utf8=self._utf8)) for reply in replies]
        closing = next((reply for reply in given if reply.code == 421), None)
        if closing is not None:
            given = given[: given.index(closing) + 1]
        if not given:
            missing = len(self._recipients) - len(self._given)
            given = [self._text(MESSAGE_OK)] * missing
            if self._prdr:
                given.append(self._overall([*self._given, *given]))
        if self._prdr and not self._given:
            self._write(self._octets(ReplyKind.RECIPIENTS_FIRST))
        for reply in given:
            self._write(self._serialised(reply, utf8=self._utf8))
        self._given += given
        self._owed -= len(given)
        if self._owed and closing is None:
            return
        accepted = any(reply.is_positive for reply in self._given)
        self._given = []
        self._owed = 0
        self._end_transaction()
        if accepted:
            self._message_accepted()
        self._settle(closing)
        if not accepted:
            self._wasted()

    def _overall(self, given: Iterable[Reply]) -> Reply:
        """PRDR's final reply: good where any recipient's was, else the least lasting refusal."""
        given = list(given)
        if any(reply.is_positive for reply in given):
            return self._text(MESSAGE_OK)
        if any(reply.is_transient for reply in given):
            return Reply(450, "No recipient accepted the message", "4.0.0")
        return Reply(550, "No recipient accepted the message", "5.0.0")


READ_DATA: Final = ServerBody._read_data
END_OF_BODY: Final = ServerBody._end_of_body
