"""What happens where a peer is not installed."""

from pathlib import Path

import pytest
from tests.interop.peers.requirements import REQUIREMENTS, Requirement, require

ABSENT = Requirement("sudo apt-get install absent", ("absent-command",), (Path("/absent/file"),))


@pytest.fixture(autouse=True)
def absent_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REQUIREMENTS, "absent", ABSENT)


def test_on_a_users_machine_the_test_is_skipped_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception) as skipped:
        require("absent")
    assert skipped.value.msg == (
        "absent: missing absent-command, /absent/file; install it by: sudo apt-get install absent"
    )


def test_in_ci_the_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install it by: sudo apt-get"):
        require("absent")


def test_what_is_there_is_not_missing() -> None:
    assert Requirement("", ("sh",), (Path("/"),), ("pytest",)).missing() == ""
