"""What was shown with which peer: collected by the tests, kept in matrix.json, told in README.md."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

MATRIX: Final = Path(__file__).parent / "matrix.json"

Kind = Literal["clients", "relays", "servers", "libraries"]
Rows = dict[Kind, dict[str, set[str]]]

KINDS: Final[tuple[Kind, ...]] = ("clients", "relays", "servers", "libraries")
TITLES: Final[Mapping[Kind, str]] = {
    "clients": "client → our server",
    "relays": "relay → our server",
    "servers": "our client → server",
    "libraries": "SASL, both roles",
}
TRANSPORTS: Final = ("plain", "STARTTLS", "implicit TLS", "LMTP")


def empty() -> Rows:
    """No row yet."""
    return {kind: {} for kind in KINDS}


def add(rows: Rows, kind: Kind, peer: str, features: Iterable[str]) -> None:
    """Features that were shown with a peer."""
    rows[kind].setdefault(peer, set()).update(features)


def dump(rows: Rows) -> str:
    """As it stands in matrix.json."""
    plain = {
        kind: {peer: sorted(features) for peer, features in sorted(rows[kind].items())}
        for kind in KINDS
    }
    return json.dumps(plain, indent=1) + "\n"


def load() -> Rows:
    """The rows that the last recorded run has shown."""
    read = json.loads(MATRIX.read_text())
    return {kind: {peer: set(features) for peer, features in read[kind].items()} for kind in KINDS}


def table() -> str:
    """The matrix as README shows it."""
    lines = [
        f"| {' | '.join(('peer', *TRANSPORTS, 'AUTH', 'extensions and verbs'))} |",
        f"|{'---|' * (len(TRANSPORTS) + 3)}",
    ]
    rows = load()
    for kind in KINDS:
        lines.append(f"| *{TITLES[kind]}* |{' |' * (len(TRANSPORTS) + 2)}")
        lines += [_line(peer, features) for peer, features in sorted(rows[kind].items())]
    return "\n".join(lines)


def _line(peer: str, features: set[str]) -> str:
    mechanisms = sorted(name[5:] for name in features if name.startswith("AUTH "))
    others = sorted(
        name for name in features if name not in TRANSPORTS and not name.startswith("AUTH ")
    )
    marks = ["✓" if transport in features else "" for transport in TRANSPORTS]
    return f"| {' | '.join((peer, *marks, ', '.join(mechanisms), ', '.join(others)))} |"
