"""PIPECONNECT (draft-harris-early-pipe-01)."""

import pytest

from smtpwire.extensions import PIPECONNECT, PIPELINING, X_PIPE_CONNECT, Offer, Profile

OFFER = Offer([PIPELINING(True), PIPECONNECT(True), X_PIPE_CONNECT(True)])


@pytest.mark.parametrize("profile", Profile)
def test_no_profile_offers_it_by_itself(profile: Profile) -> None:
    assert OFFER.restricted(profile, tls=True).keywords == ("PIPELINING",)


def test_a_listed_peer_is_offered_it_by_its_present_name() -> None:
    offered = OFFER.restricted(Profile.RELAY, tls=False, listed={"PIPECONNECT", "X_PIPE_CONNECT"})
    assert offered.keywords == ("PIPELINING", "PIPECONNECT")


def test_it_is_nothing_without_pipelining() -> None:
    offer = Offer([PIPECONNECT(True)])
    assert (
        offer.restricted(
            Profile.RELAY, tls=False, listed={"PIPECONNECT", "X_PIPE_CONNECT"}
        ).keywords
        == ()
    )
