"""``python -m tests.walk``: walk profiles as far as their bounds go, and print what was seen."""

import argparse
from time import monotonic

from tests.walk.pair import Walk
from tests.walk.profiles import PROFILES


def main() -> None:
    """Print a row a profile; a fault is raised with the steps that lead to it."""
    parser = argparse.ArgumentParser(prog="python -m tests.walk", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, help="only this one")
    parser.add_argument("--depth", type=int, default=1 << 30, help="steps from each beginning")
    parser.add_argument("--states", type=int, default=1_000_000, help="stop at so many (1,000,000)")
    parser.add_argument("--seconds", type=float, default=600, help="of the processor (600)")
    parser.add_argument("--whole", action="store_true", help="octets arrive as they were written")
    options = parser.parse_args()
    print(
        f"{'profile':14}{'states':>11}{'edges':>12}{'depth':>7}{'clients':>9}{'servers':>9}{'s':>7}"
    )
    for name in [options.profile] if options.profile else PROFILES:
        start = monotonic()
        walk = Walk(PROFILES[name], cuts=not options.whole)
        seen = walk.run(options.depth, options.states, options.seconds)
        print(
            f"{name:14}{seen.states:11,}{seen.edges:12,}"
            f"{'all' if seen.is_complete else seen.depth:>7}{seen.clients:9,}{seen.servers:9,}"
            f"{seen.seconds:7.0f} of the processor, {monotonic() - start:.0f} in all",
            flush=True,
        )


if __name__ == "__main__":
    main()
