"""Print what must be installed beside the package: its dependencies and those of extras.

`pip` cannot install a project's dependencies without the project; the Makefile does the two
apart, because the package changes with every edit and its dependencies hardly ever. Only
the standard library is used, since this runs in an environment that is still empty.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path
from typing import Any

# What the build backend would ask for by itself in an isolated build without these tools.
BUILD_TOOLS = ("cmake>=3.25", "ninja>=1.11")


def requirements(pyproject: dict[str, Any], extras: list[str], *, build: bool) -> list[str]:
    """Return the requirements of the project and of `extras`, self-references resolved.

    Raises
    ------
    KeyError
        An extra is not declared in ``[project.optional-dependencies]``.
    """
    project = pyproject["project"]
    own = re.compile(rf"{re.escape(project['name'])}\[([^]]+)\]")
    found = list(project["dependencies"])
    if build:
        found += [*pyproject["build-system"]["requires"], *BUILD_TOOLS]
    waiting, seen = list(extras), set[str]()
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in project["optional-dependencies"][extra]:
            reference = own.fullmatch(requirement)
            if reference:
                waiting += [name.strip() for name in reference[1].split(",")]
            else:
                found.append(requirement)
    return sorted(set(found))


def main() -> None:
    """Print one requirement a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml to include")
    parser.add_argument("--build", action="store_true", help="include what builds the package")
    arguments = parser.parse_args()
    path = Path(__file__).parent.parent / "pyproject.toml"
    pyproject = tomllib.loads(path.read_text(encoding="utf-8"))
    print("\n".join(requirements(pyproject, arguments.extras, build=arguments.build)))


if __name__ == "__main__":
    main()
