"""`python bench/engine [WORK ...]`: the engine beside packaged engines, Numba, NumPy and polars.

Prints a table a work and keeps them all in one JSON file, to which later calls add: each work
alone is short enough for a quiet minute of a machine.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import peers
from contest import contest, lines, summary
from tables import WORKS

from windtunnel import environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=Path("build/bench/engine.json"))
    arguments = parser.parse_args()
    unknown = set(arguments.works) - set(WORKS)
    if unknown:
        parser.error(f"no work named {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    kept = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    for work in arguments.works or WORKS:
        size, contestants = WORKS[work]()
        contest(contestants, arguments.rounds)
        found = summary(work, size, contestants)
        kept[work] = found | {
            "machine": environment.describe(),
            "versions": peers.versions(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        print("\n".join(lines(found)), flush=True)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(kept, indent=1))
    print(", ".join(f"{name} {version}" for name, version in peers.versions().items()))


if __name__ == "__main__":
    main()
