"""A study wholly in Python, on bars of one's own: weekly bars made from daily ones by polars."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

import windtunnel as wt


def weekly_bars() -> pl.DataFrame:
    """Any polars DataFrame will do: timestamp, symbol, open, high, low, close, volume."""
    daily = pl.scan_parquet(wt.sample_path("us_equities_1d")).sort("symbol", "timestamp")
    return (
        daily.group_by_dynamic("timestamp", every="1w", group_by="symbol", label="right")
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .sort("timestamp", "symbol")
        .collect()
    )


def main(trials: int = 128, workspace: Path = Path("build/own_bars")) -> None:
    study = wt.Study.from_dict(
        {
            "study": {"name": "weekly", "trials": trials, "cohort": 32, "seed": 1},
            "data": {"periods_per_year": 52},
            "features": {"use": ["return_1", "return_4", "return_13", "volatility_13", "rsi_8"]},
            "label": {"kind": "forward_return", "horizon": 2},
            "validation": {
                "folds": 4,
                "train_bars": 208,
                "embargo_bars": 2,
                "holdout_bars": 104,
            },
            "model": {"family": "linear"},
            "training": {"steps": 200, "batch_size": 128},
            "policy": {"direction": "long_short"},
            "search": {
                "training.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
                "training.weight_decay": {"low": 1e-5, "high": 1.0, "log": True},
                "policy.enter": {"low": 0.0, "high": 0.2},
            },
        },
        bars=weekly_bars(),
    )
    result = study.run(workspace)
    print(result.verdict)
    print(result.trials.sort("objective", descending=True).head(5))
    print(result.report(workspace / "report.html"))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
