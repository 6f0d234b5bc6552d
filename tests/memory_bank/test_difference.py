from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import MemoryBank
from windtunnel.memory_bank.difference import Difference, differences

if TYPE_CHECKING:
    from .conftest import Make


def test_only_what_differs_is_told(make_entry: Make) -> None:
    first = make_entry()
    second = make_entry(
        headline="An edge",
        figures={"trials.total": 512, "metrics.sharpe": 0.41234567890123, "statistics.pbo": 0.5},
        versions={"windtunnel": "0.2.0", "jax": "0.10.2"},
    )
    assert differences(first, first) == []
    found = differences(first, second)
    assert found == [
        Difference("", "headline", "No edge survives", "An edge"),
        Difference("figures", "trials.total", 256, 512),
        Difference("figures", "statistics.dsr", 0.12, None),
        Difference("figures", "statistics.pbo", None, 0.5),
        Difference("versions", "windtunnel", "0.1.0", "0.2.0"),
    ]
    assert [each.change for each in found] == [None, 256.0, None, None, None]


def test_experiments_are_found_by_name_or_its_beginning(bank: MemoryBank, make_entry: Make) -> None:
    for run in ("alpha-1", "alpha-12", "beta-3"):
        bank.record_experiment(make_entry(run_id=run))
    assert bank.find("beta").run_id == "beta-3"
    assert bank.find("alpha-1").run_id == "alpha-1"
    assert bank.find("memory_bank/experiments/alpha-12.md").run_id == "alpha-12"
    for name in ("alpha", "gamma", ""):
        with pytest.raises(MemoryBankError, match="names no single experiment"):
            bank.find(name)


def test_a_decision_can_rest_on_experiments(bank: MemoryBank, make_entry: Make) -> None:
    bank.record_experiment(make_entry())
    page = bank.decide("Trade weekly", "It costs less.", about=["demo"])
    assert "About [demo-0123456789](../experiments/demo-0123456789.md)." in page.read_text()
    assert bank.verify() == []
    (bank.path / "experiments" / "demo-0123456789.md").unlink()
    assert any("leads nowhere" in problem for problem in bank.verify())
    with pytest.raises(MemoryBankError, match="names no single"):
        bank.decide("x", "y", about=["nothing"])
