"""The fuzz targets' seeds and everything that ever was found, without a fuzzer; and what makes them."""

import re
from pathlib import Path
from typing import Final

import pytest
from fuzz import blind, minimise
from fuzz.mutator import MUTATORS
from fuzz.seeds import SEEDS
from fuzz.targets import SAMPLED, TARGETS, load, sampled

FUZZ: Final = Path(__file__).parents[1] / "fuzz"
INPUTS: Final = [
    path
    for folder in ("corpus", "regressions")
    for path in sorted((FUZZ / folder).glob("*/*"))
    if path.is_file()
]


@pytest.mark.parametrize(
    "path", INPUTS, ids=[str(path.relative_to(FUZZ)).replace("\\", "/") for path in INPUTS]
)
def test_replay(path: Path) -> None:
    load(path.parent.name)(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_and_takes_nothing(target: str) -> None:
    assert any(path.parent.name == target for path in INPUTS)
    load(target)(b"")


def test_every_target_is_run() -> None:
    modules = {path.stem for path in (FUZZ / "targets").glob("*.py")} - {"__init__"}
    assert modules == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_nearly_all_inputs_meet_some_oracles_and_some_meet_all(target: str) -> None:
    """A run calls ``sampled``: what a slow target does quickly, it does with every seed."""
    assert SAMPLED > 1
    check = sampled(target)
    for path in INPUTS:
        if path.parent.name == target:
            check(path.read_bytes())


@pytest.mark.parametrize("target", ["server_bytes", "client_bytes"])
def test_seeds_of_cases_and_sessions(target: str) -> None:
    check, seeds = load(target), dict(SEEDS[target]())
    assert len([name for name in seeds if name.startswith("session-")]) > 300
    assert len([name for name in seeds if name.startswith("D-")]) > 50
    for octets in seeds.values():
        check(octets)


def test_a_seed_for_each_door() -> None:
    check, seeds = load("doors"), dict(SEEDS["doors"]())
    assert len(seeds) > 200
    for octets in seeds.values():
        check(octets)


@pytest.mark.parametrize("target", MUTATORS)
def test_a_mutator_makes_another_input_that_is_not_too_long(target: str) -> None:
    known = [path.read_bytes() for path in INPUTS if path.parent.name == target]
    made = {
        MUTATORS[target](octets, len(octets) + 20, seed, lambda data, most: (data + b"x")[:most])
        for seed in range(40)
        for octets in (*known, b"")
    }
    assert max(map(len, made)) <= max(map(len, known)) + 20
    assert len(made) > 10 * len(known)


def test_a_mutator_gives_chunks_their_size() -> None:
    """Half of what it makes of chunks has a body as long as each BDAT says (RFC 3030 §2)."""
    data = b"0000BDAT 9\r\nabc\r\nBDAT 7 LAST\r\nxy\r\n"
    framed = 0
    for seed in range(200):
        made = MUTATORS["server_bytes"](data, 200, seed, lambda octets, most: octets[:most])
        if match := re.fullmatch(rb"(?s)....BDAT (\d+)\r\n(.*)BDAT (\d+) LAST\r\n(.*)", made):
            framed += [int(match[1]), int(match[3])] == [len(match[2]), len(match[4])]
    assert framed > 20


@pytest.mark.parametrize("target", TARGETS)
def test_a_blind_run_takes_one_batch_at_least(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.run.tempfile.gettempdir", lambda: str(tmp_path))
    assert blind.run(target, 0, seed=1)._replace(seconds=0) == (target, blind.BATCH, 0, [])


def test_a_blind_run_saves_a_finding_once_for_each_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(data: bytes) -> None:
        if data.startswith(b"0"):
            raise ValueError(len(data))
        assert data.startswith(b"1")

    monkeypatch.setattr("fuzz.run.FUZZ", tmp_path)
    monkeypatch.setattr("fuzz.blind.sampled", lambda target: check)
    assert blind.main(["server_bytes", "--seconds", "0", "--seed", "1"]) == 1
    kinds = {path.name.partition("-")[0]: path for path in tmp_path.rglob("*-*")}
    assert set(kinds) == {"valueerror", "assertionerror"}
    assert kinds["valueerror"].parent == tmp_path / "regressions" / "server_bytes"
    assert kinds["valueerror"].read_bytes().startswith(b"0")
    assert re.search(r"server_bytes +64 .* 2\n", capsys.readouterr().out)


@pytest.mark.once
def test_a_blind_run_keeps_what_reaches_a_new_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reply of one line is known; one of several is met by changing it, and kept."""
    known = tmp_path / "corpus" / "replies"
    known.mkdir(parents=True)
    known.joinpath("one-line").write_bytes(b"000250 ok\r\n")
    monkeypatch.setattr("fuzz.seeds.FUZZ", tmp_path)
    monkeypatch.setattr("fuzz.run.tempfile.gettempdir", lambda: str(tmp_path))
    assert blind.main(["replies", "--seconds", "0", "--seed", "1", "--collect"]) == 0
    kept = {path.read_bytes() for path in (tmp_path / "smtpwire-fuzz" / "replies").iterdir()}
    assert kept
    assert b"000250 ok\r\n" not in kept
    assert "replies" in capsys.readouterr().out


def test_a_blind_run_knows_its_targets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        blind.main(["server_byte"])
    assert "no target is named server_byte: server_bytes, " in capsys.readouterr().err


@pytest.mark.once
def test_a_minimal_corpus_has_the_smallest_inputs_that_reach_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, made = tmp_path / "corpus" / "replies", tmp_path / "smtpwire-fuzz" / "replies"
    for folder in (corpus, made):
        folder.mkdir(parents=True)
    for name, octets in (
        ("fine", b"000250 a longer one\r\n"),
        ("finer", b"000250 fine\r\n"),
        ("reached-01", b"000250 ok\r\n"),
        ("reached-02", b"000no reply\r\n"),
        ("reached-03", b"000no reply at all\r\n"),
    ):
        corpus.joinpath(name).write_bytes(octets)
    made.joinpath("0123456789").write_bytes(b"000250-of\r\n250 two lines\r\n")
    monkeypatch.setattr("fuzz.minimise.FUZZ", tmp_path)
    monkeypatch.setattr("fuzz.seeds.FUZZ", tmp_path)
    monkeypatch.setattr("fuzz.run.tempfile.gettempdir", lambda: str(tmp_path))
    minimise.main(["replies", "--collected", "--write"])
    left = {path.name for path in corpus.iterdir()}
    assert {"finer", "reached-02"} < left
    assert not {"fine", "reached-01", "reached-03"} & left
    assert (
        corpus.joinpath(*(left - {"finer", "reached-02"})).read_bytes()
        == b"000250-of\r\n250 two lines\r\n"
    )
    assert re.search(r"replies +6 +3\n", capsys.readouterr().out)
