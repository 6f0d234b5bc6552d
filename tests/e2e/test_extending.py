"""A small real study with a user's own functions, one of each kind and one that fails."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from windtunnel.ledger import Ledger
from windtunnel.runs import Run

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"

OWN = """
import numpy as np
import polars as pl
from windtunnel import extend

@extend.metric("best_bar", unit="percent", meaning="largest gain of one bar")
def best_bar(equity, initial, periods_per_year):
    before = np.vstack([np.full(equity.shape[1], initial), equity[:-1]])
    return (equity / before - 1).max(axis=0)

@extend.metric("fails")
def fails(equity, initial, periods_per_year):
    raise RuntimeError("no such luck")

@extend.statistic("trials_behind", unit="probability", meaning="Share behind the champion.")
def trials_behind(returns, champion, periods_per_year):
    total = returns.sum(axis=0)
    return (total < total[champion]).mean()

@extend.step("fold_spread", unit="percent", meaning="best fold less worst fold")
def fold_spread(cohort):
    gains = [cohort.equity[stop - 1] / cohort.equity[start] - 1 for start, stop in cohort.folds]
    return np.ptp(gains, axis=0)

@extend.step("bad_step")
def bad_step(cohort):
    return cohort.nothing

@extend.test("few_trades", "Does it trade seldom?")
def few_trades(evidence):
    assert not hasattr(evidence, "holdout")
    return evidence.metrics["fills"] < 1, "It trades at all."

@extend.section("By cohort")
def by_cohort(found):
    return found.trials.group_by("cohort").agg(pl.len().alias("trials")).sort("cohort")

@extend.section("Fails too")
def fails_too(found):
    return found.nothing
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, windtunnel: Any, write_study: Any) -> Path:
    folder = tmp_path_factory.mktemp("extended")
    study = write_study(folder)
    study.write_text(study.read_text().replace("trials = 24", "trials = 8"))
    (folder / "own.py").write_text(OWN)
    done = windtunnel("run", study.name, "--extend", "own.py", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / json.loads(done.stdout)["path"]


def text_of(run: Path) -> str:
    page = (run / "report.html").read_text(encoding="utf-8")
    words = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(words).split())


def test_a_metric_is_a_column_of_every_trial(extended: Path) -> None:
    trials = pl.read_parquet(extended / "trials.parquet")
    equity = np.concatenate([curves for _, curves in Run.open(extended).cohorts()], axis=1)
    before = np.vstack([np.full(8, 100_000.0), equity[:-1]])
    np.testing.assert_allclose(trials["best_bar"], (equity / before - 1).max(axis=0))
    assert "fails" not in trials.columns


def test_a_step_is_a_column_that_every_cohort_brings(extended: Path) -> None:
    cohorts = [table for table, _ in Run.open(extended).cohorts()]
    assert all(table["fold_spread"].null_count() == 0 for table in cohorts)
    trials = pl.read_parquet(extended / "trials.parquet")
    assert trials["fold_spread"].to_list() == pl.concat(cohorts)["fold_spread"].to_list()
    assert (trials["fold_spread"] >= 0).all()
    text = text_of(extended)
    assert re.search(r"Fold spread % best fold less worst fold [\d.]+%", text)
    assert re.search(r"measured ?, fold spread \(best fold less worst fold\) ?, bad step ?\.", text)
    assert "Step 'bad_step' gave no column" in text


def test_a_test_that_fails_refutes_the_study_before_its_holdout_is_read(extended: Path) -> None:
    result = Run.open(extended).result()
    assert [(each["name"], each["passed"]) for each in result["audits"]] == [("few_trades", False)]
    assert not result["holdout"]["opened"]
    assert "not opened, since audits failed (few_trades)" in result["holdout"]["seal"]
    assert not (extended.parent / "holdout.jsonl").exists()
    assert result["verdict"]["level"] == "no_edge"
    assert re.search(r"few trades FAILED It trades at all\.", text_of(extended))


def test_the_page_shows_what_was_added_and_what_failed(extended: Path) -> None:
    text = text_of(extended)
    assert re.search(r"Best bar % largest gain of one bar [\d.]+% [\d.]+%", text)
    assert re.search(r"Trials behind [01]\.\d{3} Share behind the champion\.", text)
    assert "By cohort" in text
    assert "Metric 'fails' failed and was left out: RuntimeError: no such luck." in text
    assert "# with your own additions (--extend FILE): step fold_spread, step bad_step," in text
    assert "Section 'Fails too' failed and was left out: AttributeError" in text


def test_the_page_is_filled_with_the_studys_own_figures(extended: Path) -> None:
    run, text = Run.open(extended), text_of(extended)
    number = run.result()["champion"]["number"]
    trials = pl.read_parquet(extended / "trials.parquet")
    assert "within a billionth of the initial cash of the engine's at every bar" in text
    total = trials.row(by_predicate=pl.col("number") == number, named=True)["total_return"]
    assert re.search(rf"Sum {re.escape(f'{total:.1%}'.replace('-', '−'))} ", text)
    assert "Every trial of the project's life" in text
    assert Ledger(run.path.parent / "ledger.jsonl").summary()[0]["trials"] == 8
    assert "small 1 8 0 8" in text
    assert "Largest move" in text
    assert (extended / "report.html").stat().st_size < 5e6


def test_a_file_that_cannot_be_used_stops_before_anything_is_done(
    windtunnel: Any, write_study: Any, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text("1 / 0")
    done = windtunnel("run", write_study(tmp_path), "--extend", "own.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "ZeroDivisionError" in " ".join(done.stderr.split())
    assert not (tmp_path / "runs").exists()


def test_the_example_of_the_page_on_extending_can_be_run() -> None:
    example = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    body = example[1].split("wt.Study", 1)[0]
    assert sum(bool(line) for line in example[1].splitlines()) <= 12
    check = "from windtunnel import extend; print([a.name for k in ('metric', 'section') "
    done = subprocess.run(
        [sys.executable, "-c", f"{body}\n{check}for a in extend.registered(k)])"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "['ulcer_index', 'Ten worst bars']"
