"""What connections share of what servers say, and how little is left for each."""

import gc

from tests.engine.client_dialogue import Dialogue
from tests.memory import least_memory, traced_memory

from smtpwire.engine.client import ClientConnection
from smtpwire.engine.client import offered as offered_module
from smtpwire.engine.client.offered import offer_of
from smtpwire.engine.client_config import ClientConfig
from smtpwire.extensions import REGISTRY, Extension, flag, no_parameter
from smtpwire.operations import open_session
from smtpwire.wire.reply import Reply

OFFERED = ("PIPELINING", "SIZE 1000", "AUTH PLAIN", "8BITMIME", "X-ODD")


def greeted(*keywords: str, config: ClientConfig | None = None) -> ClientConnection:
    d = Dialogue()
    d.connect(config)
    d.greeted(*keywords)
    return d.conn


def test_the_same_words_are_the_same_offer() -> None:
    first, second = greeted(*OFFERED), greeted(*OFFERED)
    assert first.extensions is second.extensions
    assert first.extensions.lines == ("PIPELINING", "SIZE 1000", "AUTH PLAIN", "8BITMIME", "X-ODD")


def test_other_words_are_another_offer() -> None:
    assert "SIZE" not in greeted("PIPELINING").extensions
    assert greeted(*OFFERED).extensions.lines != greeted("PIPELINING").extensions.lines


def test_each_registry_reads_for_itself() -> None:
    mine = Extension("X-ODD", "a draft", "odd", flag, no_parameter)
    config = ClientConfig(registry=REGISTRY.__add__((mine,)))
    for _ in range(2):  # and neither takes the other's place for good
        assert "X-ODD" in [item.keyword for item in greeted(*OFFERED).extensions.unknown]
        assert greeted(*OFFERED, config=config).extensions.unknown == ()


def test_nothing_offered_is_told_apart_by_registry_too() -> None:
    config = ClientConfig(registry=REGISTRY.__add__(()))
    assert len(ClientConnection().extensions) == len(ClientConnection(config).extensions) == 0


def test_few_offers_are_remembered_and_no_large_one() -> None:
    for number in range(200):
        offer_of(Reply(250, f"mx\nSIZE {number}"), REGISTRY)
    large = Reply(250, "mx\n" + "\n".join(f"X-{number}" for number in range(1000)))
    first, second = offer_of(large, REGISTRY), offer_of(large, REGISTRY)
    assert first is not second
    assert first.offer == second.offer
    assert len(offered_module._KNOWN) <= 64


def test_an_idle_connection_is_small() -> None:
    config = ClientConfig("client.example.com")

    def idle() -> ClientConnection:
        conn = ClientConnection(config)
        answers = [b"220 mx\r\n", b"250-mx\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME\r\n"]
        for _ in open_session(conn):
            conn.data_to_send()
            conn.receive_data(answers.pop(0))
        conn.next_event()
        return conn

    def hundred() -> int:
        with traced_memory() as memory:
            kept = [idle() for _ in range(100)]
            gc.collect()
            assert all(conn.reusable for conn in kept)
            return memory()[0]

    assert least_memory(hundred, 100 * 2200) < 100 * 2200
