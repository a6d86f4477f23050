"""Which test holds what, on which adapter, plain and under TLS, with handlers of which colour.

The table is what pytest collects. ``p`` is plain, ``t`` TLS; a large letter stands for handlers
that are coroutines, a dot for a cell that cannot be or need not be: REASONS say why.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ADAPTERS: Final = ("blocking", "asyncio", "uvloop", "trio", "fifth")
"""``fifth``: a server, and a client, that are written from the contracts alone."""

TABLE: Final = """
                                          blocking  asyncio   uvloop    trio      fifth
 1 context variables                      p P t T   p P t T   p P t T   p P t T   p P t T
 2 fairness                               p P t T   p P t T   p P t T   p P t T   p P t T
 3 a write that failed is the last one    p P t T   p P t T   p P t T   p P t T   p P t T
 4 nothing leaves a connection endless    p P t T   p P t T   p P t T   p P t T   p P t T
 5 shutdown                               p P t T   p P t T   p P t T   p P t T   p P t T
 6 a peer that goes cancels no handler    . P . T   . P . T   . P . T   . P . T   . P . T
 7 overload                               p . t .   p . t .   p . t .   p . t .   p . t .
 8 no socket outlives its client          p . t .   p . t .   p . t .   p . t .   . . . .
   nor its session                        p P t T   p P t T   p P t T   p P t T   . . . .
 9 after QUIT                             p . t .   p . t .   p . t .   p . t .   p . t .
10 a server that stalls                   p . t .   p . t .   p . t .   p . t .   p . t .
   a client that stalls                   p . t .   p . t .   p . t .   p . t .   p . t .
11 equal words and equal errors           p . . .   p . . .   . . . .   p . . .   . . . .
12 one client, one operation              p . . .   p . t .   p . t .   p . t .   . . . .
13 what comes with a handshake is kept    . . t .   . . t .   . . t .   . . t .   . . . .
14 nothing is kept of a connection        p P t T   p P t T   p P t T   p P t T   . . . .
16 who closes a client meanwhile is heard p . t .   p . t .   p . t .   p . t .   . . . .
"""

REASONS: Final = {
    6: "a function cannot be cancelled: nothing of the loop runs beside it",
    7: "whoever is refused never has a handler",
    8: "a client has no handlers; the fifth adapter's ends are those of its test's block",
    9: "after QUIT no handler is called any more",
    10: "while a peer is waited for no handler runs",
    11: "there is no connection yet; uvloop's words are asyncio's, the fifth adapter has its own",
    12: "a turn is asked for above TLS; one thread can have but one operation",
    13: "there is no handshake without TLS",
    14: "the fifth adapter's memory is the test's",
    16: "a client has no handlers; the fifth adapter's has one thread",
}
"""Why an item has dots. (15, the fifth adapter, is a column.)"""


class Shown(NamedTuple):
    """A test that shows a row: what its parameters do not tell is told here."""

    row: str
    test: str
    layers: str = ""
    colours: str = ""


NO_HANDLER: Final = "sync"

ROWS: Final = (
    Shown("context variables", "test_what_one_connection_sets_no_other_reads"),
    Shown("fairness", "test_who_pipelines_keeps_nobody_waiting"),
    Shown(
        "a write that failed is the last one",
        "test_who_does_not_read_gets_no_reply_of_another_command",
    ),
    Shown(
        "nothing leaves a connection endless",
        "test_a_handler_that_raises_generator_exit_has_failed_like_any_other",
    ),
    Shown("shutdown", "test_shutdown_waits_for_the_handler_that_stores_a_message"),
    Shown(
        "a peer that goes cancels no handler",
        "test_a_handler_outlives_the_peer_and_shutdown_waits_for_it",
        colours="async",
    ),
    Shown("overload", "test_too_many_connections", "plain", NO_HANDLER),
    Shown("overload", "test_too_many_connections_of_one_peer", "TLS", NO_HANDLER),
    Shown(
        "no socket outlives its client",
        "test_leaving_the_block_by_an_exception_closes_without_quit",
        colours=NO_HANDLER,
    ),
    Shown("nor its session", "test_nothing_of_a_connection_outlives_it", colours="sync async"),
    Shown("after QUIT", "test_after_quit_a_peer_may_send_little", colours=NO_HANDLER),
    Shown("a server that stalls", "test_a_server_that_reads_no_more_after_354", colours=NO_HANDLER),
    Shown("a client that stalls", "test_a_client_that_stalls_in_the_body", colours=NO_HANDLER),
    Shown(
        "equal words and equal errors",
        "test_start_server_takes_the_same_words_everywhere",
        "plain",
        NO_HANDLER,
    ),
    Shown(
        "one client, one operation",
        "test_a_second_operation_is_refused_and_the_first_is_unharmed",
        "plain",
        NO_HANDLER,
    ),
    Shown(
        "one client, one operation", "test_another_task_is_refused_or_closes", colours=NO_HANDLER
    ),
    Shown(
        "what comes with a handshake is kept",
        "test_what_comes_with_the_end_of_the_handshake_is_kept",
        "TLS",
        NO_HANDLER,
    ),
    Shown(
        "nothing is kept of a connection",
        "test_nothing_of_a_connection_outlives_it",
        colours="sync async",
    ),
    Shown(
        "who closes a client meanwhile is heard",
        "test_a_client_that_is_closed_in_the_last_step_of_an_operation",
        colours=NO_HANDLER,
    ),
)
"""One test a row, or two that share it; most rows have others beside it."""

LAYERS: Final = {
    "Security.NONE": "plain",
    "Security.STARTTLS": "TLS",
    "Security.IMPLICIT": "TLS",
    "plain": "plain",
    "TLS": "TLS",
}
COLOURS: Final = {
    "sync": "sync",
    "async": "async",
    "at its first step": "async",
    "later": "async",
}
LETTERS: Final = {
    ("plain", "sync"): "p",
    ("plain", "async"): "P",
    ("TLS", "sync"): "t",
    ("TLS", "async"): "T",
}


def collected() -> dict[str, list[list[str]]]:
    """The parameters with which each test of this folder is run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    found: dict[str, list[list[str]]] = defaultdict(list)
    for name, parameters in re.findall(r"::(\w+)(?:\[(.*)\])?$", done.stdout, re.MULTILINE):
        found[name].append(parameters.split("-"))
    return found


def cells(shown: Shown, runs: list[list[str]]) -> set[tuple[str, str]]:
    """Which adapters, with which letters."""
    found = set()
    for run in runs:
        adapters = {"fifth" if word == "contract" else word for word in run} & {*ADAPTERS}
        layers = {LAYERS[word] for word in run if word in LAYERS} or {*shown.layers.split()}
        colours = {COLOURS[word] for word in run if word in COLOURS} or {*shown.colours.split()}
        found |= {
            (adapter, LETTERS[layer, colour])
            for adapter in adapters
            for layer in layers
            for colour in colours
        }
    return found


def rows() -> dict[str, set[tuple[str, str]]]:
    """The table, read: for each row the adapters and the letters."""
    found = {}
    for line in TABLE.strip("\n").splitlines()[1:]:
        name, letters = line[3:42].strip(), line[42:].split()
        found[name] = {
            (adapter, letter)
            for place, adapter in enumerate(ADAPTERS)
            for letter in letters[4 * place : 4 * place + 4]
            if letter != "."
        }
    return found


@pytest.mark.once
def test_the_table_is_what_is_run() -> None:
    pytest.importorskip("uvloop")
    runs = collected()
    assert {shown.test for shown in ROWS} <= {*runs}
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for shown in ROWS:
        found[shown.row] |= cells(shown, runs[shown.test])
    assert found == rows()


def test_every_dot_has_its_reason() -> None:
    item, dotted = 0, set()
    for line in TABLE.strip("\n").splitlines()[1:]:
        item = int(line[:2].strip() or item)
        if "." in line[42:].split():
            dotted.add(item)
    assert dotted == {*REASONS}
