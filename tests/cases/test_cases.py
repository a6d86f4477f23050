"""Every protocol case: whole, one octet at a time, in two, in every setting.

Each is one test whose id carries the case's: ``pytest -k D-DOT-008``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, final

import pytest
from tests.cases import client_checks, server_checks
from tests.cases.case import CASES, Case, Expected
from tests.cases.client_run import ClientResult, ClientRun
from tests.cases.decisions import (
    BORDERS_THAT_MATTER,
    DATA_ENDS_A_GROUP,
    DECISIONS,
    OTHER_SIZES,
    PROOFS,
)
from tests.cases.server_run import ServerResult, run_server
from tests.cases.server_settings import Setting, settings
from tests.cases.splits import Way, ways
from tests.cases.variants import variants

_UNMAPPED: Final[Mapping[str, Callable[[Expected], list[str]]]] = {
    "server": server_checks.unmapped_in,
    "client": client_checks.unmapped_in,
}


def _decided(case: Case) -> Expected:
    """What is expected: what the case says, but where it is decided otherwise."""
    decision = DECISIONS.get(case.id)
    if decision is None or decision.replies is None:
        return case.expected
    return replace(
        case.expected,
        replies=decision.replies,
        outcome=decision.outcome,
        must_not=decision.must_not,
    )


def _all_mapped() -> Iterator[Case]:
    """The cases; collection fails where one says something that no table understands."""
    for case in CASES:
        unmapped = _UNMAPPED[case.role](_decided(case))
        if unmapped:
            raise ValueError(f"{case.id} says what nobody checks: {unmapped}")
        if case.confidence == "low" and case.id not in DECISIONS:
            raise ValueError(f"{case.id} leaves a choice, and no decision is recorded")
        yield case


_MAPPED: Final = tuple(_all_mapped())


def test_there_are_all_of_them() -> None:
    assert len({case.id for case in CASES}) == 242


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id) for case in _MAPPED if case.role == "server"]
)
def test_server(case: Case) -> None:
    for chunks, expected in variants(case, _decided(case)):
        for setting in settings(case):
            _run_server_every_way(case, expected, chunks, setting)


def _run_server_every_way(
    case: Case, expected: Expected, chunks: tuple[bytes, ...], setting: Setting
) -> None:
    """Every way must be right, and all ways must come out alike."""
    variant = replace(case, chunks=chunks)
    first: dict[bool, ServerResult] = {}
    for way in ways(variant, chunks, DATA_ENDS_A_GROUP.get(case.id)):
        result = run_server(variant, setting, way)
        reference = first.setdefault(_has_border(case, way), result)
        if result is reference or result.sent_at != reference.sent_at:
            server_checks.check_server(variant, expected, result, setting.alternative)
        assert result == reference, f"{case.id}, {setting.name}: it matters how {way} is cut"


def _has_border(case: Case, way: Way) -> bool:
    """Whether the way has a border where one is known to matter."""
    at = BORDERS_THAT_MATTER.get(case.id)
    position = 0
    for piece in way[0] if at is not None else ():
        position += len(piece)
        if position == at:
            return True
    return False


@final
@dataclass(frozen=True, slots=True)
class _ClientSetting:
    """How the client is driven, what is expected then, and which alternative is decided on."""

    name: str
    expected: Expected
    alternative: int | None = None
    by_operation: bool = False
    matching_proof: bool = False


def _client_settings(case: Case) -> Iterator[_ClientSetting]:
    expected = _decided(case)
    decision = DECISIONS.get(case.id)
    chosen = None if decision is None else decision.alternative
    if case.id in PROOFS:
        wrong = replace(expected, wire=(b"*\r\n",), outcome="auth_cancelled", must_not=())
        yield _ClientSetting("right proof", expected, matching_proof=True)
        yield _ClientSetting("wrong proof", wrong)
    elif case.given.input_kind == "app_message_chunks":
        # The engine is strict about line ends, the operation makes them right.
        yield _ClientSetting("engine", expected, 1)
        yield _ClientSetting("operation", expected, 0, by_operation=True)
    else:
        yield _ClientSetting("as given", expected, chosen)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id) for case in _MAPPED if case.role == "client"]
)
def test_client(case: Case) -> None:
    for setting in _client_settings(case):
        for chunks, expected in variants(case, setting.expected):
            _run_client_every_way(case, chunks, replace(setting, expected=expected))
        for octets, size in OTHER_SIZES.get(case.id, {}).items():
            expected = replace(setting.expected, size=size, no_limit=False)
            _run_client_every_way(case, (octets,), replace(setting, expected=expected))


def _run_client_every_way(case: Case, chunks: tuple[bytes, ...], setting: _ClientSetting) -> None:
    """Every way must be right, and all ways must come out alike."""
    variant = replace(case, chunks=chunks, expected=setting.expected)
    first: dict[bool, ClientResult] = {}
    for way in ways(variant, chunks):
        run = ClientRun(variant, matching_proof=setting.matching_proof)
        if setting.by_operation:
            result = run.play_by_operation(way)
        else:
            run.begin()
            result = run.play(way)
        client_checks.check_client(run, setting.expected, result, setting.alternative)
        run.hang_up()
        if result.refused and case.given.input_kind == "app_message_chunks":
            result = replace(result, wire=())  # how much had left by then is a fact of the way
        reference = first.setdefault(_has_border(case, way), result)
        assert result == reference, f"{case.id}, {setting.name}: it matters how {way} is cut"
