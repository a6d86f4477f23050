"""The table of states: whole, and without a way out of the end."""

from smtpwire.engine.state import TRANSITIONS, State, mermaid


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)
    for state in State:
        assert state.commands is TRANSITIONS[state]
        assert set(state.commands.values()) <= set(State)


def test_every_state_is_reached_and_only_the_end_is_an_end() -> None:
    reached = {State.GREETING}
    while more := {to for state in reached for to in TRANSITIONS[state].values()} - reached:
        reached |= more
    assert reached == set(State)
    assert [state for state in State if not TRANSITIONS[state]] == [State.CLOSED]


def test_the_diagram_says_what_the_table_says() -> None:
    diagram = mermaid()
    lines = diagram.splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> greeting"]
    assert lines[-1] == "    closed --> [*]"
    assert "    greeting --> hello: (greeting)" in lines
    assert "    mail --> rcpt: RCPT" in lines
    edges = {
        (state.value, target.value)
        for state, row in TRANSITIONS.items()
        for command, target in row.items()
        if command not in ("NOOP", "HELP", "VRFY", "EXPN")
    }
    assert len(lines) == len(edges) + 3
    assert "NOOP" not in diagram
