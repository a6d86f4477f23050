"""Extensions that are no more than their keyword."""

import pytest
from tests.extensions.reading import offer_comes_back

from smtpwire.extensions import (
    CHUNKING,
    ENHANCEDSTATUSCODES,
    EXPN,
    HELP,
    PIPELINING,
    STARTTLS,
    VRFY,
    Extension,
    Offer,
    Profile,
)

FLAGS = [PIPELINING, ENHANCEDSTATUSCODES, STARTTLS, CHUNKING, HELP, VRFY, EXPN]


@pytest.mark.parametrize("extension", FLAGS, ids=repr)
def test_its_line_is_the_keyword(extension: Extension[bool]) -> None:
    assert offer_comes_back(extension, True) == extension.keyword


@pytest.mark.parametrize("extension", FLAGS, ids=repr)
def test_what_stands_behind_the_keyword_is_ignored(extension: Extension[bool]) -> None:
    # servers write things like "STARTTLS yes"
    assert extension.read("and junk").parsed is True


def test_starttls_is_not_offered_under_tls() -> None:
    # RFC 3207 §4.2
    offer = Offer([STARTTLS(True)])
    assert offer.restricted(Profile.SUBMISSION, tls=False).keywords == ("STARTTLS",)
    assert offer.restricted(Profile.SUBMISSION, tls=True).keywords == ()
