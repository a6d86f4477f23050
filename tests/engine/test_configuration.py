"""Configurations by keyword: what the presets take, what a typo is, and what repr() shows."""

from typing import Any, get_type_hints

import pytest

from smtpwire.engine.client_config import ClientConfig
from smtpwire.engine.limits import Limits
from smtpwire.engine.need import Need
from smtpwire.engine.security import Security
from smtpwire.engine.server import ServerConnection
from smtpwire.engine.server_config import ServerConfig
from smtpwire.engine.server_settings import ServerSettings, SubmissionSettings
from smtpwire.engine.timeouts import Timeouts
from smtpwire.extensions import PIPELINING, Profile
from smtpwire.wire.value import replace

PRESETS: dict[str, Any] = {
    profile.value: getattr(ServerConfig, profile.value) for profile in Profile
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_takes_any_field_by_keyword(name: str) -> None:
    preset = PRESETS[name]
    limits = Limits(recipients=5)
    config = preset("mx", limits=limits, offer=(PIPELINING,), local_domains=["d.example"])
    assert config == replace(
        preset("mx"), limits=limits, offer=(PIPELINING,), local_domains=["d.example"]
    )
    assert config.profile.value == name


def test_what_is_given_goes_before_what_the_preset_says() -> None:
    config = ServerConfig.submission("mx", mechanisms=("CRAM-MD5",), starttls=False)
    assert (config.mechanisms, config.starttls, config.require_auth) == (("CRAM-MD5",), False, True)
    assert ServerConfig.submissions("mx", require_auth=False).require_tls


@pytest.mark.parametrize("name", PRESETS)
def test_a_typo_is_an_error_that_names_what_was_meant(name: str) -> None:
    with pytest.raises(
        TypeError, match="ServerConfig has no 'mechanism'; did you mean 'mechanisms'"
    ):
        PRESETS[name]("mx", mechanism=("PLAIN",))
    with pytest.raises(TypeError, match="limits is a dict: pass a Limits"):
        PRESETS[name]("mx", limits={})


def test_the_typed_settings_are_the_fields() -> None:
    fields = dict(ServerConfig.__annotations__)
    for name in ("host", "profile"):
        del fields[name]
    settings = {**SubmissionSettings.__annotations__, **ServerSettings.__annotations__}
    assert {name: each.__forward_arg__ for name, each in settings.items()} == fields
    assert "local_domains" not in ServerSettings.__annotations__
    assert set(get_type_hints(SubmissionSettings)) == set(fields)


def test_repr_shows_what_is_not_in_the_preset() -> None:
    for name, preset in PRESETS.items():
        assert repr(preset("mx")) == f"ServerConfig.{name}('mx')"
    config = ServerConfig.submission(
        "mx",
        mechanisms=("SCRAM-SHA-256",),
        scram_secret=b"0123456789abcdef",
        limits=Limits(message=5),
    )
    assert repr(config) == (
        "ServerConfig.submission('mx', limits=Limits(message=5), mechanisms=('SCRAM-SHA-256',))"
    )
    assert repr(ClientConfig()) == "ClientConfig()"
    client = ClientConfig("client.example", security=Security.STARTTLS, timeouts=Timeouts.all(5))
    assert repr(client).startswith("ClientConfig(hello_name='client.example', security=")
    assert repr(Timeouts(mail=5)) == "Timeouts(mail=5)"
    assert repr(Limits()) == "Limits()"


def test_one_time_for_everything() -> None:
    times = Timeouts.all(30)
    assert {getattr(times, name) for name in Timeouts.__annotations__} == {30, None}
    assert times.session is None
    assert Timeouts.all(30, session=600).session == 600
    with pytest.raises(ValueError, match=r"Timeouts.greeting is 0: pass seconds"):
        Timeouts.all(0)


def test_the_lines_of_ehlo_come_in_the_order_that_is_given() -> None:
    def keywords(**settings: Any) -> list[str]:
        conn = ServerConnection(ServerConfig.relay("mx", **settings))
        conn.receive_data(b"EHLO client.example\r\n")
        said = b""
        while (item := conn.next_event()) is not Need.DATA:
            said += conn.data_to_send()
            if item is Need.REPLY:
                conn.reply()
        _greeting, _host, *lines = (said + conn.data_to_send()).decode().splitlines()
        return [line[4:].split()[0] for line in lines]

    usual = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "SIZE"]
    assert keywords() == usual
    order = ("SIZE", "AUTH", "8BITMIME")
    rest = [keyword for keyword in usual if keyword not in order]
    assert keywords(offer_order=order) == ["SIZE", "8BITMIME", *rest]
    with pytest.raises(ValueError, match="offer_order has 'DSN', which is not offered"):
        keywords(offer_order=("DSN",))
