"""smtpwire: SMTP at the wire level, without I/O."""

__version__ = "0.1.0"
