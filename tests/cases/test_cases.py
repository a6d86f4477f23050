"""Every protocol case: whole, one octet at a time, in two at every place, in every setting.

Each is one test whose id carries the case's: ``pytest -k D-DOT-008``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import pytest
from tests.cases import server_checks
from tests.cases.case import CASES, Case, Expected
from tests.cases.decisions import BORDERS_THAT_MATTER, DECISIONS
from tests.cases.server_run import ServerResult, run_server
from tests.cases.server_settings import Setting, settings
from tests.cases.splits import Way, ways
from tests.cases.variants import variants

_UNMAPPED: Final[Mapping[str, Callable[[Expected], list[str]]]] = {
    "server": server_checks.unmapped_in,
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
        if case.role not in _UNMAPPED:
            continue
        unmapped = _UNMAPPED[case.role](_decided(case))
        if unmapped:
            raise ValueError(f"{case.id} says what nobody checks: {unmapped}")
        if case.confidence == "low" and case.id not in DECISIONS:
            raise ValueError(f"{case.id} leaves a choice, and no decision is recorded")
        yield case


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id) for case in _all_mapped() if case.role == "server"]
)
def test_server(case: Case) -> None:
    expected = _decided(case)
    for chunks in variants(case):
        for setting in settings(case):
            _run_server_every_way(case, expected, chunks, setting)


def _run_server_every_way(
    case: Case, expected: Expected, chunks: tuple[bytes, ...], setting: Setting
) -> None:
    """Every way must be right, and all ways must come out alike."""
    variant = replace(case, chunks=chunks)
    first: dict[bool, ServerResult] = {}
    for way in ways(variant, chunks):
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
