"""What each peer needs on this machine, and what to do where it is not there."""

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

PROJECT = Path(__file__).resolve().parents[3]
PEERS = Path(os.environ.get("SMTPWIRE_PEERS") or PROJECT / ".peers").absolute()
"""Where ``install-peers.sh`` unpacked what Debian cannot install side by side."""

SCRIPT = "sudo tests/interop/install-peers.sh"
PIP = 'pip install -e ".[interop]"'

_SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@dataclass(frozen=True)
class Requirement:
    """The commands, files and modules of one peer and the command which installs them."""

    install: str
    commands: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    modules: tuple[str, ...] = ()
    root: bool = False

    def missing(self) -> str:
        """What is not there, in words; an empty string when nothing is missing."""
        if self.root and os.geteuid() != 0:
            return "the right to start daemons (run the tests as root)"
        lacking = [command for command in self.commands if find(command) is None]
        lacking += [str(file) for file in self.files if not file.exists()]
        lacking += [name for name in self.modules if importlib.util.find_spec(name) is None]
        return ", ".join(lacking)


def find(command: str) -> str | None:
    """The path of a command, looked for in the sbin directories too."""
    return shutil.which(command, path=_SEARCH)


def _apt(*packages: str) -> str:
    return "sudo apt-get install --no-install-recommends " + " ".join(packages)


_POSTFIX = _apt("postfix", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db")
_CYRUS = ("saslpasswd2",)
_NODE = PEERS / "npm" / "node_modules"
_NAMESPACE = ("unshare", "mount", "hostname")

REQUIREMENTS = {
    # servers
    "postfix": Requirement(_POSTFIX, ("postfix", *_CYRUS, *_NAMESPACE), root=True),
    "smtp-sink": Requirement(_POSTFIX, ("smtp-sink",)),
    "exim": Requirement(
        SCRIPT, (*_CYRUS, *_NAMESPACE), (PEERS / "exim/usr/sbin/exim4",), root=True
    ),
    "exim-4.98": Requirement(
        SCRIPT, (*_CYRUS, *_NAMESPACE), (PEERS / "exim-4.98/usr/sbin/exim4",), root=True
    ),
    "sendmail": Requirement(
        SCRIPT,
        ("m4", *_CYRUS, *_NAMESPACE),
        (PEERS / "sendmail/usr/libexec/sendmail/sendmail",),
        root=True,
    ),
    "dovecot": Requirement(
        _apt("dovecot-lmtpd", "dovecot-submissiond", "postfix"),
        ("dovecot", "smtp-sink", *_NAMESPACE),
        (Path("/usr/lib/dovecot/lmtp"), Path("/usr/lib/dovecot/submission")),
        root=True,
    ),
    "smtp-server": Requirement(SCRIPT, ("node",), (_NODE / "smtp-server",)),
    "haraka": Requirement(SCRIPT, ("node",), (_NODE / "Haraka",)),
    "aiosmtpd": Requirement(PIP, modules=("aiosmtpd",)),
    "aiosmtpd-tests": Requirement(
        'pip install -e ".[interop]" "setuptools<81"',
        modules=("aiosmtpd", "pytest_mock", "pkg_resources"),
    ),
    "chasquid": Requirement(SCRIPT, files=(PEERS / "chasquid/usr/bin/chasquid",)),
    "mailfront": Requirement(SCRIPT, files=(PEERS / "mailfront/usr/sbin/mailfront",)),
    "opensmtpd": Requirement(
        SCRIPT, ("openssl", *_NAMESPACE), (PEERS / "opensmtpd/usr/sbin/smtpd",), root=True
    ),
    "pymta": Requirement(PIP, modules=("pymta",)),
    "qpsmtpd": Requirement(
        SCRIPT,
        ("perl",),
        (
            PEERS / "qpsmtpd/usr/bin/qpsmtpd-forkserver",
            Path("/usr/share/perl5/IO/Socket/SSL.pm"),
            Path("/usr/share/perl5/Mail/Header.pm"),
        ),
    ),
    "slimta": Requirement(PIP, modules=("slimta",)),
    # clients
    "curl": Requirement(_apt("curl"), ("curl",)),
    "swaks": Requirement(
        _apt(
            "swaks",
            "libnet-ssleay-perl",
            "libauthen-sasl-perl",
            "libio-socket-ssl-perl",
            "libdigest-hmac-perl",
        ),
        ("swaks",),
        (Path("/usr/share/perl5/Authen/SASL.pm"), Path("/usr/share/perl5/Digest/HMAC_MD5.pm")),
    ),
    "msmtp": Requirement(_apt("msmtp"), ("msmtp",)),
    "gsasl": Requirement(_apt("gsasl"), ("gsasl",)),
    "mutt": Requirement(_apt("mutt"), ("mutt",)),
    "s-nail": Requirement(_apt("s-nail"), ("s-nail",)),
    "git": Requirement(
        _apt("git", "git-email", "libmailtools-perl", "libauthen-sasl-perl"),
        ("git",),
        (Path("/usr/lib/git-core/git-send-email"), Path("/usr/share/perl5/Authen/SASL.pm")),
    ),
    "net-smtp": Requirement(
        _apt("perl", "libio-socket-ssl-perl", "libauthen-sasl-perl"),
        ("perl",),
        (Path("/usr/share/perl5/IO/Socket/SSL.pm"), Path("/usr/share/perl5/Authen/SASL.pm")),
    ),
    "smtplib": Requirement("it is part of Python"),
    "smtplib-tests": Requirement(_apt("libpython3.11-testsuite"), modules=("test.test_smtplib",)),
    "aiosmtplib": Requirement(PIP, modules=("aiosmtplib",)),
    "twisted": Requirement(PIP, modules=("twisted", "OpenSSL")),
    "nodemailer": Requirement(SCRIPT, ("node",), (_NODE / "nodemailer",)),
    "emailjs": Requirement(SCRIPT, ("node",), (_NODE / "emailjs",)),
    "esmtp": Requirement(SCRIPT, files=(PEERS / "esmtp/usr/bin/esmtp",)),
    "opensmtpd-smtp": Requirement(SCRIPT, files=(PEERS / "opensmtpd/usr/bin/smtp",)),
    "dma": Requirement(SCRIPT, ("unshare", "mount"), (PEERS / "dma/usr/sbin/dma",), root=True),
    "nullmailer": Requirement(SCRIPT, files=(PEERS / "nullmailer/usr/lib/nullmailer/smtp",)),
    "ssmtp": Requirement(SCRIPT, files=(PEERS / "ssmtp/usr/sbin/ssmtp",)),
    "sendemail": Requirement(
        SCRIPT,
        ("perl",),
        (PEERS / "sendemail/usr/bin/sendemail", Path("/usr/share/perl5/IO/Socket/SSL.pm")),
    ),
    "smtp-source": Requirement(_POSTFIX, ("smtp-source",)),
    "openssl": Requirement(_apt("openssl"), ("openssl",)),
    # libraries
    "libgsasl": Requirement(
        _apt("libgsasl18"), files=(Path("/usr/lib/x86_64-linux-gnu/libgsasl.so.18"),)
    ),
    "libsasl2": Requirement(
        _apt("libsasl2-2", "libsasl2-modules"),
        files=(Path("/usr/lib/x86_64-linux-gnu/libsasl2.so.2"),),
    ),
}


def require(peer: str) -> None:
    """Skip the running test unless ``peer`` is installed; with CI in the environment fail it."""
    requirement = REQUIREMENTS[peer]
    missing = requirement.missing()
    if missing:
        absent(f"{peer}: missing {missing}; install it by: {requirement.install}")


def absent(reason: str) -> NoReturn:
    """End the running test because something is not installed: failed in CI, else skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
