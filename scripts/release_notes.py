"""Print the changelog section of a release tag, after checking that the versions agree.

The tag ``v1.2.3`` may be released when pyproject.toml says 1.2.3 and CHANGELOG.md has a dated
section of that name. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def notes(changelog: str, version: str) -> str:
    """Return the body of the section ``## [version] - YYYY-MM-DD``.

    Raises
    ------
    ValueError
        There is no such section, or it is empty.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$"
    found = re.search(rf"{heading}\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ValueError(
            f"CHANGELOG.md: no section '## [{version}] - YYYY-MM-DD' with text; write it first"
        )
    return found[1].strip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the notes of the tag; return 1 with a message where something disagrees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tag", help="the release tag, for example v0.1.0")
    tag = parser.parse_args(arguments).tag
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = pyproject["project"]["version"]
    if tag != f"v{version}":
        sys.stderr.write(f"tag {tag!r} is not 'v{version}', the version in pyproject.toml\n")
        return 1
    try:
        text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
