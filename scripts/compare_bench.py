"""Turn two pytest-benchmark JSON files into a Markdown table of what became slower.

A bench counts as slower when its median grew by more than the threshold and the middle
halves of the two samples do not overlap: a single noisy run trips neither rule alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


@dataclass(frozen=True)
class Comparison:
    """One bench on both sides; `base` or `head` is absent where the bench is new or gone."""

    name: str
    base: dict[str, float] | None
    head: dict[str, float] | None

    @property
    def ratio(self) -> float | None:
        """Median of head over median of base; above 1 is slower."""
        if self.base is None or self.head is None:
            return None
        return self.head["median"] / self.base["median"]

    def verdict(self, threshold: float) -> str:
        """Return ``slower``, ``faster``, ``same``, ``new`` or ``gone``."""
        if self.base is None or self.head is None or self.ratio is None:
            return "new" if self.base is None else "gone"
        if self.ratio > threshold and self.head["q1"] > self.base["q3"]:
            return "slower"
        if self.ratio < 1 / threshold and self.head["q3"] < self.base["q1"]:
            return "faster"
        return "same"


def compare(base: dict[str, Any], head: dict[str, Any]) -> list[Comparison]:
    """Pair the benches of two pytest-benchmark documents by name, largest ratio first."""
    sides = [
        {bench["fullname"]: bench["stats"] for bench in document["benchmarks"]}
        for document in (base, head)
    ]
    names = sides[0].keys() | sides[1].keys()
    pairs = [Comparison(name, sides[0].get(name), sides[1].get(name)) for name in names]
    return sorted(pairs, key=lambda pair: (-(pair.ratio or 0.0), pair.name))


def markdown(base: dict[str, Any], head: dict[str, Any], threshold: float) -> str:
    """Return the comment: a sentence, a warning where machines differ, a table."""
    pairs = compare(base, head)
    slower = [pair for pair in pairs if pair.verdict(threshold) == "slower"]
    lines = ["### Benchmarks: base against head", ""]
    if not pairs:
        lines.append("Neither side has a bench.")
        return "\n".join(lines) + "\n"
    lines.append(
        f"**{_count(len(slower), 'bench')} slower** by more than {threshold - 1:.0%}, "
        f"of {len(pairs)}."
        if slower
        else f"None of {_count(len(pairs), 'bench')} is slower by more than {threshold - 1:.0%}."
    )
    machines = [document.get("machine_info", {}).get("cpu", {}) for document in (base, head)]
    if machines[0].get("brand_raw") != machines[1].get("brand_raw"):
        lines += ["", "The two sides ran on different processors: read the ratios with doubt."]
    lines += ["", "| bench | base | head | head / base | |", "|---|--:|--:|--:|---|"]
    for pair in pairs:
        ratio = "" if pair.ratio is None else f"{pair.ratio:.2f}"
        verdict = pair.verdict(threshold)
        shown = f"**{verdict}**" if verdict == "slower" else verdict
        lines.append(
            f"| `{pair.name}` | {_seconds(pair.base)} | {_seconds(pair.head)} | {ratio} | {shown} |"
        )
    lines += ["", "Medians; a bench is called slower when the middle halves do not overlap."]
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "es")


def _seconds(stats: dict[str, float] | None) -> str:
    """Three significant digits in the unit that suits."""
    if stats is None:
        return ""
    value = stats["median"]
    scale, unit = next((pair for pair in UNITS if value >= pair[0]), UNITS[-1])
    return f"{value / scale:.3g} {unit}"


def main(arguments: list[str] | None = None) -> int:
    """Print the comment; return 1 when ``--fail`` is given and a bench is slower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path, help="JSON of the base commit")
    parser.add_argument("head", type=Path, help="JSON of the head commit")
    parser.add_argument(
        "--threshold", type=float, default=1.2, help="ratio that counts as slower (default 1.2)"
    )
    parser.add_argument("--fail", action="store_true", help="exit with 1 when a bench is slower")
    options = parser.parse_args(arguments)
    if options.threshold <= 1:
        parser.error(f"--threshold must be above 1, got {options.threshold:g}")
    base, head = (
        json.loads(path.read_text(encoding="utf-8")) for path in (options.base, options.head)
    )
    sys.stdout.write(markdown(base, head, options.threshold))
    slower = any(pair.verdict(options.threshold) == "slower" for pair in compare(base, head))
    return int(options.fail and slower)


if __name__ == "__main__":
    sys.exit(main())
