"""Both ends and what is on its way between them: every state they reach together, breadth first.

The two ends share nothing but octets. So a step of one is computed once for each state of that end,
by the engine itself, and remembered; a state of the pair is two numbers for the ends, two for the
octets on their way, whether the transport is lost, and what the message's fate is so far.
"""

from collections.abc import Iterator
from itertools import pairwise
from time import process_time
from typing import Final, NamedTuple

from tests.walk.halves import (
    CLOSED,
    Action,
    Ends,
    Fault,
    Step,
    check,
    client_start,
    server_start,
)
from tests.walk.profiles import Profile
from tests.walk.snapshot import Frozen

from smtpwire.engine.need import Need

__all__ = ["Fault", "Figures", "Walk"]

Fate = tuple[object, ...]
_BITS: Final = 24
_MASK: Final = (1 << _BITS) - 1
_LONGEST: Final = 400
"""So many steps at most, with a fair peer, from any state to the end."""
NOTHING: Final[Fate] = ("", b"", ())
"""No message is on its way. A fate is what the client holds of it (sent, unknown, retry), its
content, and what the server said for each recipient."""


class Figures(NamedTuple):
    """What a walk has seen."""

    states: int
    edges: int
    depth: int
    """All sequences of so many steps have been walked."""
    is_complete: bool
    """No state is left that was not walked from."""
    clients: int
    servers: int
    seconds: float


class Way(NamedTuple):
    """What may happen at one end, and where it leads that end.

    ``after``: the half. ``stalled``: its octets could not be written.
    """

    end: str
    action: Action
    after: int
    octets: bytes
    notes: tuple[object, ...]
    stalled: bool = False


class State(NamedTuple):
    """A pair; all by number."""

    client: int
    server: int
    to_server: int
    to_client: int
    is_lost: int
    fate: int


class Numbers:
    """Things by number."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self.things: list[object] = []

    def __call__(self, thing: object) -> int:
        number = self._numbers.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        return number


def pack(state: State) -> int:
    """A state in one number."""
    packed = 0
    for part in state:
        packed = packed << _BITS | part
    return packed


def unpack(packed: int) -> State:
    """The state again."""
    parts = [packed >> _BITS * at & _MASK for at in range(5, -1, -1)]
    return State(*parts)


class Walk:
    """The walk of one profile. ``cuts``: octets also arrive line by line, and in half lines."""

    def __init__(self, profile: Profile, *, cuts: bool = True) -> None:
        self._profile = profile
        self._ends = Ends(profile)
        self._cuts = cuts
        self._halves = Numbers()
        self._octets = Numbers()
        self._fates = Numbers()
        self._options: dict[tuple[str, int], list[Way]] = {}
        self._arrivals: dict[tuple[str, int, Action], list[Way]] = {}
        self._needs: dict[int, Need | None] = {}
        self._closed = self._halves(CLOSED)
        self._none = self._octets(b"")
        self._parents: dict[int, int] = {}
        self._ending: set[int] = set()
        self.edges = 0

    # -- the walk

    def run(self, depth: int = 1 << 30, states: int = 1 << 62, seconds: float = 1e9) -> Figures:
        """Walk all sequences of ``depth`` steps, or as far as so many states or seconds go.

        They begin at every state of an ordinary session. ``seconds`` are the processor's.
        """
        start = process_time()
        layer = [pack(state) for state in self._ordinary()]
        self._parents = dict.fromkeys(layer, -1)
        layer = [*self._parents]
        reached, is_whole = 0, True
        while layer and reached < depth and is_whole:
            following: list[int] = []
            for packed in layer:
                self._walk_from(packed, following)
                if len(self._parents) >= states or process_time() - start > seconds:
                    is_whole = False
                    break
            reached += is_whole
            if is_whole:
                layer = following
        for packed in self._parents:
            self._check_fair_end(packed)
        halves = {(end, half) for end, half in self._options}
        return Figures(
            len(self._parents),
            self.edges,
            reached,
            not layer,
            sum(end == "client" for end, _ in halves),
            sum(end == "server" for end, _ in halves),
            process_time() - start,
        )

    def _first(self) -> State:
        client = self._halves(client_start(self._profile))
        server = self._halves(server_start(self._profile))
        state = State(client, server, self._none, self._none, 0, self._fates(NOTHING))
        for end in ("client", "server"):
            for way in self._arrival(
                end, state.client if end == "client" else state.server, ("begin",)
            ):
                state = self._after(state, way)
        return state

    def _ordinary(self) -> Iterator[State]:
        """The states of a session in which nothing goes wrong, command by command."""
        state = self._first()
        yield state
        for word in self._profile.session:
            for way in self._options_of("client", state.client):
                if way.action == ("call", word) and not way.stalled:
                    state = self._after(state, way)
                    yield state
                    break
            else:
                raise Fault(f"{word} cannot be sent in an ordinary session")
            while (after := self._fair(state, last_words=False)) is not None:
                state = after
                yield state

    def _walk_from(self, packed: int, following: list[int]) -> None:
        state = unpack(packed)
        try:
            for _, after in self._moves(state):
                self.edges += 1
                number = pack(after)
                if number not in self._parents:
                    self._parents[number] = packed
                    following.append(number)
        except AssertionError as fault:
            raise Fault(f"{fault}\n{self._story(packed)}") from fault

    def _moves(self, state: State) -> Iterator[tuple[Way | str, State]]:
        """What may happen next, in words, and where it leads."""
        client, server, to_server, to_client, is_lost, _ = state
        for end, half, arriving, other in (
            ("client", client, to_client, server),
            ("server", server, to_server, client),
        ):
            if half == self._closed:
                continue
            ways = self._options_of(end, half)
            if arriving != self._none:
                for octets in self._pieces(arriving):
                    ways = [*ways, *self._arrival(end, half, ("octets", octets))]
            if is_lost or (other == self._closed and arriving == self._none):
                ways = [*ways, *self._arrival(end, half, ("eof",))]
            for way in ways:
                yield way, self._after(state, way)
        if not is_lost:
            yield (
                "the transport is lost",
                State(client, server, self._none, self._none, 1, state.fate),
            )
            shaken = self._shake_hands(state)
            if shaken is not None:
                yield "handshake", shaken

    def _pieces(self, arriving: int) -> list[bytes]:
        """What may arrive of the octets that are on their way: all, a line, and parts of it."""
        octets = self._octets.things[arriving]
        assert isinstance(octets, bytes)
        if not self._cuts:
            return [octets]
        line = octets.find(b"\n") + 1
        pieces = {octets: 0, octets[:line]: 0, octets[: line - 1]: 0, octets[: line - 2]: 0}
        return [piece for piece in pieces if piece]

    # -- one step

    def _after(self, state: State, way: Way) -> State:
        """Where a step of one end leads the pair."""
        client, server, to_server, to_client, is_lost, fate = state
        octets = way.octets
        for note in way.notes:
            fate = self._fates(self._told(self._fates.things[fate], note))
        if way.end == "client":
            client = way.after
            if way.action[0] == "octets":
                to_client = self._without(to_client, way.action[1])
            if octets and not is_lost and not way.stalled:
                to_server = self._with(to_server, octets)
        else:
            server = way.after
            if way.action[0] == "octets":
                to_server = self._without(to_server, way.action[1])
            if octets and not is_lost and not way.stalled:
                to_client = self._with(to_client, octets)
        if way.stalled:
            is_lost, to_server, to_client = 1, self._none, self._none
        if client == self._closed:
            to_client = self._none
        if server == self._closed:
            to_server = self._none
        made = State(client, server, to_server, to_client, is_lost, fate)
        if not is_lost and to_client == self._none == to_server:
            self._check_no_deadlock(made)
        return made

    def _shake_hands(self, state: State) -> State | None:
        """Both ends are told that the handshake succeeded, where nothing stands in its way."""
        if state.to_server != self._none or state.to_client != self._none:
            return None
        clients = self._arrival("client", state.client, ("handshake", True))
        servers = self._arrival("server", state.server, ("handshake", True))
        if not clients or not servers:
            return None
        return self._after(self._after(state, clients[0]), servers[0])

    def _with(self, way: int, octets: bytes) -> int:
        before = self._octets.things[way]
        assert isinstance(before, bytes)
        return self._octets(before + octets)

    def _without(self, way: int, octets: object) -> int:
        before = self._octets.things[way]
        assert isinstance(before, bytes)
        assert isinstance(octets, bytes)
        return self._octets(before[len(octets) :])

    def _options_of(self, end: str, half: int) -> list[Way]:
        """What may happen at an end by itself: made by its engine the first time."""
        ways = self._options.get((end, half))
        if ways is None:
            ways = []
            if half != self._closed:
                frozen = self._halves.things[half]
                assert isinstance(frozen, tuple)
                for action, step in self._ends.options(end, frozen):
                    ways += self._ways(end, frozen, action, step)
            self._options[end, half] = ways
        return ways

    def _arrival(self, end: str, half: int, action: Action) -> list[Way]:
        """The same for what comes from outside."""
        ways = self._arrivals.get((end, half, action))
        if ways is None:
            ways = []
            if half != self._closed:
                frozen = self._halves.things[half]
                assert isinstance(frozen, tuple)
                step = self._ends.step(frozen, action)
                if step is not None:
                    ways = self._ways(end, frozen, action, step)
            self._arrivals[end, half, action] = ways
        return ways

    def _ways(self, end: str, frozen: Frozen, action: Action, step: Step) -> list[Way]:
        """The step, and where it leads if the peer reads nothing of it."""
        ways = [Way(end, action, self._halves(step.half), step.octets, step.notes)]
        if step.octets:
            stalled = self._ends.step(frozen, action, stall=True)
            assert stalled is not None
            after = self._halves(stalled.half)
            ways.append(Way(end, action, after, b"", stalled.notes, stalled=True))
        return ways

    # -- what must hold

    def _told(self, fate: object, note: object) -> Fate:
        """What is known of the message's fate after a note; what the two ends hold must agree."""
        assert isinstance(fate, tuple)
        assert isinstance(note, tuple)
        held, content, said = fate
        match note:
            case ("begun",):
                return NOTHING
            case ("sent", octets):
                return ("sent", octets, ())
            case ("asked", octets, _):
                check(held in ("sent", "unknown", "retry"), "a message that was not sent")
                check(octets == content, "sent and received:", content, octets)
                return (held, content, ())
            case ("judged", at, how):
                check(not (how == "2" and held == "retry"), "delivered, and counted as retry:", at)
                return (held, content, (*said, (at, how)))
            case ("ended", at, how):
                return (self._ended(said, at, how) or held, content, said)
            case ("over",):
                return (held if held in ("unknown", "retry") else "", content, ())
        raise AssertionError(note)

    def _ended(self, said: tuple[tuple[int, str], ...], at: int, how: str) -> str:
        taken = {whose for whose, verdict in said if verdict == "2"}
        concerned = taken if at < 0 else taken & {at}
        if how == "lost":
            return "unknown"
        if how == "2":
            check(concerned, "counted as done, and not delivered:", at, said)
            return ""
        check(not concerned, "delivered, and counted as", how, at, said)
        return "retry" if how in ("closing", "not sent") else ""

    def _check_no_deadlock(self, state: State) -> None:
        """While nothing is on its way, somebody's application has something to do."""
        for half in (state.client, state.server):
            if half == self._closed or self._need(half) is not Need.DATA:
                return
        raise Fault("both ends wait for one another")

    def _need(self, half: int) -> Need | None:
        need = self._needs.get(half)
        if need is None:
            frozen = self._halves.things[half]
            assert isinstance(frozen, tuple)
            need = self._needs[half] = need_of(frozen)
        return need

    def _check_fair_end(self, packed: int) -> None:
        """Where both ends mean well and nothing is lost, they come to an end."""
        path: list[int] = []
        for _ in range(_LONGEST):
            if packed in self._ending:
                break
            path.append(packed)
            state = unpack(packed)
            if state.client == self._closed == state.server:
                break
            try:
                after = self._fair(state)
                check(after is not None, "no way to the end")
                assert after is not None
            except AssertionError as fault:
                words = f"{fault}, with a fair peer from here on"
                raise Fault(f"{words}\n{self._story(path[0])}") from fault
            packed = pack(after)
        else:
            raise Fault(f"the end does not come\n{self._story(path[0])}")
        self._ending.update(path)

    def _fair(self, state: State, *, last_words: bool = True) -> State | None:
        """The next of the steps that two well-meaning ends take to finish.

        ``last_words``: the client's application ends its body, and sends QUIT.
        """
        for end, half, arriving, other in (
            ("client", state.client, state.to_client, state.server),
            ("server", state.server, state.to_server, state.client),
        ):
            ways: list[Way] = []
            if arriving != self._none:
                ways = self._arrival(end, half, ("octets", self._octets.things[arriving]))
            elif state.is_lost or other == self._closed:
                ways = self._arrival(end, half, ("eof",)) or self._arrival(
                    end, half, ("handshake", False)
                )
            if ways:
                return self._after(state, ways[0])
        shaken = self._shake_hands(state)
        if shaken is not None:
            return shaken
        wanted: list[tuple[str, int, Action]] = [("server", state.server, ("answer", ""))]
        if last_words:
            wanted.append(("client", state.client, ("call", "end")))
            wanted.append(("client", state.client, ("call", "QUIT")))
        for end, half, action in wanted:
            for way in self._options_of(end, half):
                if way.action == action:
                    return self._after(state, way)
        return None

    # -- telling of a fault

    def _story(self, packed: int) -> str:
        """The moves that lead to a state."""
        states = [packed]
        while (parent := self._parents.get(states[-1], -1)) >= 0:
            states.append(parent)
        states.reverse()
        told = ["after an ordinary beginning"]
        for before, after in pairwise(states):
            for what, found in self._moves(unpack(before)):
                if pack(found) == after:
                    told.append(f"  {described(what)}")
                    break
        return "\n".join(told)


def described(what: Way | str) -> str:
    """A step in words."""
    if isinstance(what, str):
        return what
    word, *things = what.action
    words = [
        what.end,
        str(word),
        *map(repr, things),
        "and the write stalls" if what.stalled else "",
    ]
    return " ".join(each for each in words if each)


def need_of(frozen: Frozen) -> Need | None:
    """The Need of a half."""
    found = [each for each in frozen if isinstance(each, Need)]
    return found[0] if found else None
