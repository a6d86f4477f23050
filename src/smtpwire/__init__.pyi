from typing import Final

from smtpwire import extensions as extensions
from smtpwire import operations as operations
from smtpwire.engine.client import (
    ClientConnection as ClientConnection,
)
from smtpwire.engine.client_config import (
    ClientConfig as ClientConfig,
)
from smtpwire.engine.errors import (
    LocalProtocolError as LocalProtocolError,
)
from smtpwire.engine.errors import (
    SessionLimitError as SessionLimitError,
)
from smtpwire.engine.events import (
    Aborted as Aborted,
)
from smtpwire.engine.events import (
    Authenticated as Authenticated,
)
from smtpwire.engine.events import (
    AuthenticationEnded as AuthenticationEnded,
)
from smtpwire.engine.events import (
    AuthenticationFailed as AuthenticationFailed,
)
from smtpwire.engine.events import (
    AuthenticationOutcome as AuthenticationOutcome,
)
from smtpwire.engine.events import (
    BodyChunk as BodyChunk,
)
from smtpwire.engine.events import (
    Cause as Cause,
)
from smtpwire.engine.events import (
    ClientEvent as ClientEvent,
)
from smtpwire.engine.events import (
    Closed as Closed,
)
from smtpwire.engine.events import (
    CloseReason as CloseReason,
)
from smtpwire.engine.events import (
    Connected as Connected,
)
from smtpwire.engine.events import (
    EndOfData as EndOfData,
)
from smtpwire.engine.events import (
    EndOfMessage as EndOfMessage,
)
from smtpwire.engine.events import (
    Envelope as Envelope,
)
from smtpwire.engine.events import (
    ExtensionsChanged as ExtensionsChanged,
)
from smtpwire.engine.events import (
    Greeting as Greeting,
)
from smtpwire.engine.events import (
    Identity as Identity,
)
from smtpwire.engine.events import (
    InvalidCommand as InvalidCommand,
)
from smtpwire.engine.events import (
    MessageAborted as MessageAborted,
)
from smtpwire.engine.events import (
    Peer as Peer,
)
from smtpwire.engine.events import (
    ReplyReceived as ReplyReceived,
)
from smtpwire.engine.events import (
    ServerEvent as ServerEvent,
)
from smtpwire.engine.events import (
    ServiceClosing as ServiceClosing,
)
from smtpwire.engine.events import (
    Unanswered as Unanswered,
)
from smtpwire.engine.limits import (
    Limits as Limits,
)
from smtpwire.engine.need import (
    ClientNeed as ClientNeed,
)
from smtpwire.engine.need import (
    Need as Need,
)
from smtpwire.engine.need import (
    ServerNeed as ServerNeed,
)
from smtpwire.engine.policy import (
    DEFAULT_POLICIES as DEFAULT_POLICIES,
)
from smtpwire.engine.policy import (
    Policy as Policy,
)
from smtpwire.engine.replies import (
    DEFAULT_REPLIES as DEFAULT_REPLIES,
)
from smtpwire.engine.replies import (
    ReplyKind as ReplyKind,
)
from smtpwire.engine.security import (
    Security as Security,
)
from smtpwire.engine.server import (
    ServerConnection as ServerConnection,
)
from smtpwire.engine.server_config import (
    ServerConfig as ServerConfig,
)
from smtpwire.engine.state import (
    TRANSITIONS as TRANSITIONS,
)
from smtpwire.engine.state import (
    State as State,
)
from smtpwire.engine.stats import (
    Stats as Stats,
)
from smtpwire.engine.timeouts import (
    Timeout as Timeout,
)
from smtpwire.engine.timeouts import (
    Timeouts as Timeouts,
)
from smtpwire.engine.tls import (
    PeerCertificate as PeerCertificate,
)
from smtpwire.engine.tls import (
    TlsInfo as TlsInfo,
)
from smtpwire.engine.violation import (
    ProtocolViolation as ProtocolViolation,
)
from smtpwire.engine.violation import (
    ViolationKind as ViolationKind,
)
from smtpwire.extensions import (
    REGISTRY as REGISTRY,
)
from smtpwire.extensions import (
    Atrn as Atrn,
)
from smtpwire.extensions import (
    Burl as Burl,
)
from smtpwire.extensions import (
    Etrn as Etrn,
)
from smtpwire.extensions import (
    Extension as Extension,
)
from smtpwire.extensions import (
    Offer as Offer,
)
from smtpwire.extensions import (
    Offered as Offered,
)
from smtpwire.extensions import (
    Profile as Profile,
)
from smtpwire.extensions import (
    Registry as Registry,
)
from smtpwire.extensions import (
    XClient as XClient,
)
from smtpwire.extensions import (
    XForward as XForward,
)
from smtpwire.extensions import parameters as parameters
from smtpwire.sasl import (
    Anonymous as Anonymous,
)
from smtpwire.sasl import (
    AnonymousLogin as AnonymousLogin,
)
from smtpwire.sasl import (
    AuthorizationRequest as AuthorizationRequest,
)
from smtpwire.sasl import (
    BearerToken as BearerToken,
)
from smtpwire.sasl import (
    ClientMechanism as ClientMechanism,
)
from smtpwire.sasl import (
    Credentials as Credentials,
)
from smtpwire.sasl import (
    DigestMD5Secret as DigestMD5Secret,
)
from smtpwire.sasl import (
    ExternalIdentity as ExternalIdentity,
)
from smtpwire.sasl import (
    ExternalLogin as ExternalLogin,
)
from smtpwire.sasl import (
    Password as Password,
)
from smtpwire.sasl import (
    PasswordLogin as PasswordLogin,
)
from smtpwire.sasl import (
    PlainPassword as PlainPassword,
)
from smtpwire.sasl import (
    SaslError as SaslError,
)
from smtpwire.sasl import (
    ScramSecret as ScramSecret,
)
from smtpwire.sasl import (
    SecretRequest as SecretRequest,
)
from smtpwire.sasl import (
    ServerMechanism as ServerMechanism,
)
from smtpwire.sasl import (
    TokenLogin as TokenLogin,
)
from smtpwire.sasl import (
    derive_digest_md5 as derive_digest_md5,
)
from smtpwire.sasl import (
    derive_scram as derive_scram,
)
from smtpwire.sasl import (
    tls_server_end_point as tls_server_end_point,
)
from smtpwire.wire.address import (
    Address as Address,
)
from smtpwire.wire.body import (
    LineEndings as LineEndings,
)
from smtpwire.wire.command import (
    Auth as Auth,
)
from smtpwire.wire.command import (
    Bdat as Bdat,
)
from smtpwire.wire.command import (
    Command as Command,
)
from smtpwire.wire.command import (
    Data as Data,
)
from smtpwire.wire.command import (
    Expn as Expn,
)
from smtpwire.wire.command import (
    ExtensionCommand as ExtensionCommand,
)
from smtpwire.wire.command import (
    Hello as Hello,
)
from smtpwire.wire.command import (
    Help as Help,
)
from smtpwire.wire.command import (
    Leniency as Leniency,
)
from smtpwire.wire.command import (
    Mail as Mail,
)
from smtpwire.wire.command import (
    Noop as Noop,
)
from smtpwire.wire.command import (
    Quit as Quit,
)
from smtpwire.wire.command import (
    Rcpt as Rcpt,
)
from smtpwire.wire.command import (
    Rset as Rset,
)
from smtpwire.wire.command import (
    StartTls as StartTls,
)
from smtpwire.wire.command import (
    Verb as Verb,
)
from smtpwire.wire.command import (
    Vrfy as Vrfy,
)
from smtpwire.wire.parameter import (
    Parameter as Parameter,
)
from smtpwire.wire.parameter import (
    Parameters as Parameters,
)
from smtpwire.wire.proxy import (
    ProxyHeader as ProxyHeader,
)
from smtpwire.wire.proxy import (
    ProxyReader as ProxyReader,
)
from smtpwire.wire.proxy import (
    ProxyRefused as ProxyRefused,
)
from smtpwire.wire.received import (
    received_header as received_header,
)
from smtpwire.wire.received import (
    with_protocol as with_protocol,
)
from smtpwire.wire.reply import (
    Reply as Reply,
)
from smtpwire.wire.status import (
    Disposition as Disposition,
)
from smtpwire.wire.status import (
    classify as classify,
)
from smtpwire.wire.status import (
    describe as describe,
)
from smtpwire.wire.value import (
    Request as Request,
)
from smtpwire.wire.value import (
    replace as replace,
)

__version__: Final[str]
