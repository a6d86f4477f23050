"""Octets to values and back, useful alone: to proxies, fuzzers, honeypots and readers of logs.

A name is loaded when it is first used. Nothing here does I/O or imports from another room.

.. include:: README.md
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smtpwire.wire.address import Address, PathError, PathErrorKind, parse_domain, parse_path
    from smtpwire.wire.body import (
        BareLineEnding,
        DotDecoder,
        DotEncoder,
        LineEndings,
        LineNormaliser,
    )
    from smtpwire.wire.command import (
        Auth,
        Bdat,
        Command,
        CommandError,
        Data,
        Expn,
        ExtensionCommand,
        ExtensionRequest,
        Grammar,
        Hello,
        Help,
        Leniency,
        Mail,
        Noop,
        Quit,
        Rcpt,
        Rset,
        StartTls,
        Verb,
        Vrfy,
        parse_command,
    )
    from smtpwire.wire.ehlo import EhloKeyword, EhloResponse, format_ehlo, parse_ehlo
    from smtpwire.wire.error import SmtpwireError
    from smtpwire.wire.ip import address_literal, canonical_ip
    from smtpwire.wire.parameter import (
        Given,
        Parameter,
        ParameterError,
        Parameters,
        format_parameters,
        parse_parameters,
    )
    from smtpwire.wire.proxy import (
        ProxyCommand,
        ProxyHeader,
        ProxyReader,
        ProxyRefused,
        ProxyTls,
        ProxyTransport,
        format_proxy_header,
    )
    from smtpwire.wire.received import CIPHER_SUITES, WITH_PROTOCOLS, received_header, with_protocol
    from smtpwire.wire.reply import Reply, format_reply
    from smtpwire.wire.reply_parser import ReplyError, ReplyErrorKind, ReplyParser
    from smtpwire.wire.sequences import (
        ANY_COMMAND,
        COMMAND_REPLIES,
        END_OF_DATA,
        GREETING,
        CommandReplies,
    )
    from smtpwire.wire.status import (
        BASIC_CODES,
        ENHANCED_CODES,
        SUBJECTS,
        BasicCode,
        Disposition,
        EnhancedCode,
        classify,
        describe,
    )
    from smtpwire.wire.table import Table
    from smtpwire.wire.value import Request, replace
    from smtpwire.wire.xtext import (
        decode_utf8_address,
        decode_xtext,
        encode_unitext_address,
        encode_utf8_address,
        encode_xtext,
    )

__all__ = [
    "ANY_COMMAND",
    "BASIC_CODES",
    "CIPHER_SUITES",
    "COMMAND_REPLIES",
    "END_OF_DATA",
    "ENHANCED_CODES",
    "GREETING",
    "SUBJECTS",
    "WITH_PROTOCOLS",
    "Address",
    "Auth",
    "BareLineEnding",
    "BasicCode",
    "Bdat",
    "Command",
    "CommandError",
    "CommandReplies",
    "Data",
    "Disposition",
    "DotDecoder",
    "DotEncoder",
    "EhloKeyword",
    "EhloResponse",
    "EnhancedCode",
    "Expn",
    "ExtensionCommand",
    "ExtensionRequest",
    "Given",
    "Grammar",
    "Hello",
    "Help",
    "Leniency",
    "LineEndings",
    "LineNormaliser",
    "Mail",
    "Noop",
    "Parameter",
    "ParameterError",
    "Parameters",
    "PathError",
    "PathErrorKind",
    "ProxyCommand",
    "ProxyHeader",
    "ProxyReader",
    "ProxyRefused",
    "ProxyTls",
    "ProxyTransport",
    "Quit",
    "Rcpt",
    "Reply",
    "ReplyError",
    "ReplyErrorKind",
    "ReplyParser",
    "Request",
    "Rset",
    "SmtpwireError",
    "StartTls",
    "Table",
    "Verb",
    "Vrfy",
    "address_literal",
    "canonical_ip",
    "classify",
    "decode_utf8_address",
    "decode_xtext",
    "describe",
    "encode_unitext_address",
    "encode_utf8_address",
    "encode_xtext",
    "format_ehlo",
    "format_parameters",
    "format_proxy_header",
    "format_reply",
    "parse_command",
    "parse_domain",
    "parse_ehlo",
    "parse_parameters",
    "parse_path",
    "received_header",
    "replace",
    "with_protocol",
]

_HOMES: Final = {
    "address": "Address PathError PathErrorKind parse_domain parse_path",
    "body": "BareLineEnding DotDecoder DotEncoder LineEndings LineNormaliser",
    "command": """
        Auth Bdat Command CommandError Data Expn ExtensionCommand ExtensionRequest Grammar
        Hello Help Leniency Mail Noop Quit Rcpt Rset StartTls Verb Vrfy parse_command
    """,
    "ehlo": "EhloKeyword EhloResponse format_ehlo parse_ehlo",
    "error": "SmtpwireError",
    "ip": "address_literal canonical_ip",
    "parameter": "Given Parameter ParameterError Parameters format_parameters parse_parameters",
    "proxy": """
        ProxyCommand ProxyHeader ProxyReader ProxyRefused ProxyTls ProxyTransport
        format_proxy_header
    """,
    "received": "CIPHER_SUITES WITH_PROTOCOLS received_header with_protocol",
    "reply": "Reply format_reply",
    "reply_parser": "ReplyError ReplyErrorKind ReplyParser",
    "sequences": "ANY_COMMAND COMMAND_REPLIES END_OF_DATA GREETING CommandReplies",
    "status": """
        BASIC_CODES ENHANCED_CODES SUBJECTS BasicCode Disposition EnhancedCode classify
        describe
    """,
    "table": "Table",
    "value": "Request replace",
    "xtext": """
        decode_utf8_address decode_xtext encode_unitext_address encode_utf8_address
        encode_xtext
    """,
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names.split():
            found: object = getattr(import_module(f"smtpwire.wire.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
