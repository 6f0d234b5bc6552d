"""What the page of the service says of its load stands in the stored figures."""

from __future__ import annotations

import json
from pathlib import Path


def test_the_page_tells_the_stored_figures(root: Path) -> None:
    figures = json.loads((root / "docs" / "results" / "load.json").read_text(encoding="utf-8"))
    page = " ".join((root / "docs" / "serving.md").read_text(encoding="utf-8").split())
    assert figures["seconds"] == 600
    resident = [row["resident_mb"] for row in figures["memory"]]
    for told in (
        f"lets {figures['connections']} connections ask",
        f"{figures['answers']:,} answers, {figures['faults_in_all']} wrong or lost, "
        f"{figures['moves_of_aliases']} moves of aliases",
        f"memory from {resident[0]:.0f} to {max(resident):.0f} MB",
        f"and {figures['memory_growth_in_the_last_two_thirds_mb']:.0f} MB more",
        f"{figures['connections_left_for_silence']} times a client left a connection",
    ):
        assert told in page
