"""How many examples a property is tried with that needs more of them than others."""

from hypothesis import settings

__all__ = ["examples"]


def examples(times: int) -> int:
    """``times`` as many as other properties are tried with, in the profile of this run."""
    profile = settings.default
    assert profile is not None
    return times * profile.max_examples
