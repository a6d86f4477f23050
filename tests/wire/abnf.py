"""A slow reference: grammars written as their ABNF, matched by trying everything.

A rule maps a text and a position to every position where it can end, so that nothing depends on
the order of alternatives, on greed or on backtracking. RFC 5234 gives the operators.
"""

from collections.abc import Callable
from functools import reduce

Rule = Callable[[str, int], frozenset[int]]


def octets(*ranges: int | tuple[int, int]) -> Rule:
    """``%d33-90 / %d94``: one octet of any of the ranges."""
    allowed = {
        value
        for each in ranges
        for value in (range(each[0], each[1] + 1) if isinstance(each, tuple) else (each,))
    }

    def rule(text: str, at: int) -> frozenset[int]:
        return frozenset({at + 1} if at < len(text) and ord(text[at]) in allowed else ())

    return rule


def literal(word: str) -> Rule:
    """``"word"``: a string, in either case (RFC 5234 §2.3)."""

    def rule(text: str, at: int) -> frozenset[int]:
        found = text[at : at + len(word)]
        return frozenset({at + len(word)} if found.lower() == word.lower() else ())

    return rule


def one_of(characters: str) -> Rule:
    """One of these characters, as they are."""
    return octets(*map(ord, characters))


def sequence(*rules: Rule) -> Rule:
    """``a b c``"""

    def both(first: Rule, second: Rule) -> Rule:
        return lambda text, at: frozenset(
            end for middle in first(text, at) for end in second(text, middle)
        )

    return reduce(both, rules)


def either(*rules: Rule) -> Rule:
    """``a / b / c``"""
    return lambda text, at: frozenset(end for rule in rules for end in rule(text, at))


def repeated(rule: Rule, least: int = 0, most: int | None = None) -> Rule:
    """``<least>*<most>a``; without ``most`` without end."""

    def repeat(text: str, at: int) -> frozenset[int]:
        ends, now, count = set[int](), frozenset({at}), 0
        if least == 0:
            ends.add(at)
        while now and (most is None or count < most):
            now = frozenset(end for start in now for end in rule(text, start))
            count += 1
            if count >= least:
                if now <= ends:
                    break
                ends |= now
        return frozenset(ends)

    return repeat


def optional(rule: Rule) -> Rule:
    """``[a]``"""
    return repeated(rule, 0, 1)


def matches(rule: Rule, text: str) -> bool:
    """Whether the whole text is one of the rule's."""
    return len(text) in rule(text, 0)


ALPHA = octets((0x41, 0x5A), (0x61, 0x7A))
DIGIT = octets((0x30, 0x39))
HEXDIG = either(DIGIT, octets((0x41, 0x46), (0x61, 0x66)))
DQUOTE = octets(0x22)
