"""Names, units and one plain sentence of meaning for every metric and statistic shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from windtunnel.reports.formats import Unit


@dataclass(frozen=True, slots=True)
class Term:
    """How a key is shown."""

    label: str
    unit: Unit
    unit_text: str
    meaning: str = ""


METRICS: dict[str, Term] = {
    "total_return": Term("Total return", "percent", "% of initial cash"),
    "cagr": Term("Growth a year (CAGR)", "percent", "% a year"),
    "volatility": Term("Volatility", "percent", "% a year"),
    "sharpe": Term("Sharpe ratio", "ratio", "a year"),
    "deflated_sharpe": Term("Deflated Sharpe ratio", "probability", "probability, planned trials"),
    "sortino": Term("Sortino ratio", "ratio", "a year"),
    "calmar": Term("Calmar ratio", "ratio", "CAGR / max drawdown"),
    "max_drawdown": Term("Max drawdown", "percent", "% below the peak"),
    "max_drawdown_bars": Term("Longest drawdown", "bars", "bars"),
    "hit_rate": Term("Hit rate", "percent", "% of bars with a gain or loss"),
    "profit_factor": Term("Profit factor", "ratio", "gains / losses"),
    "tail_ratio": Term("Tail ratio", "ratio", "95th / 5th percentile"),
    "cvar_95": Term("CVaR 95 %", "percent", "% a bar"),
    "skewness": Term("Skewness", "ratio", "of bar returns"),
    "kurtosis": Term("Kurtosis", "ratio", "raw, normal is 3"),
    "exposure": Term("Mean gross exposure", "percent", "% of equity"),
    "turnover": Term("Turnover", "ratio", "times equity, in all"),
    "turnover_per_year": Term("Turnover", "ratio", "times equity a year"),
    "break_even_bps": Term("Break-even cost, first order", "ratio", "bps of value traded"),
    "fills": Term("Fills", "count", "orders"),
    "dropped": Term("Orders dropped", "count", "orders"),
    "costs": Term("Fees and spread paid", "money", "currency"),
    "financing": Term("Financing and borrow paid", "money", "currency"),
    "train_loss": Term("Training loss", "probability", "final, mean of folds"),
    "auc": Term("AUC", "probability", "0.5 is chance"),
    "accuracy": Term("Accuracy", "percent", "% of labels"),
    "log_loss": Term("Log loss", "probability", "nats, 0.693 is a coin"),
    "brier": Term("Brier score", "probability", "0.25 is a coin"),
    "mse": Term("Mean squared error", "probability", "squared label units"),
    "ic": Term("Information coefficient", "probability", "correlation"),
    "rank_ic": Term("Rank information coefficient", "probability", "rank correlation"),
    "calibration_error": Term("Calibration error", "probability", "mean gap in probability"),
}

STATISTICS: dict[str, Term] = {
    "psr": Term(
        "Probabilistic Sharpe ratio",
        "probability",
        "probability",
        "How likely the true Sharpe ratio is above zero if this were the only trial ever made.",
    ),
    "dsr": Term(
        "Deflated Sharpe ratio",
        "probability",
        "probability",
        "The same, but against the best Sharpe ratio that this many trials would show by luck; "
        "0.95 is the usual demand, and it is strict.",
    ),
    "expected_maximum_sharpe": Term(
        "Best Sharpe ratio expected by luck",
        "ratio",
        "a year",
        "What the best of all trials of the project's life would show if none had any skill.",
    ),
    "trials_study": Term(
        "Trials in this study",
        "count",
        "trials",
        "Configurations tried here, failed and pruned ones included.",
    ),
    "trials_project": Term(
        "Trials in the project's life",
        "count",
        "trials",
        "Configurations tried on this project by all studies so far; the statistics are "
        "deflated by these.",
    ),
    "effective_trials": Term(
        "Effective trials",
        "ratio",
        "trials",
        "How many independent trials the correlated ones amount to.",
    ),
    "dsr_effective": Term(
        "Deflated Sharpe ratio, effective trials",
        "probability",
        "probability",
        "The same with the effective number of trials: kinder, since it forgives likeness.",
    ),
    "spa_p": Term(
        "SPA p-value against buy and hold",
        "probability",
        "probability",
        "How often the best of this study's trials would beat buy and hold by so much if none "
        "really did (Hansen 2005, consistent).",
    ),
    "step_down_p": Term(
        "Step-down p-value of the champion",
        "probability",
        "probability",
        "The same for the champion itself, with all trials of the study held to one error rate "
        "(Romano and Wolf 2005).",
    ),
    "sharpe_autocorrelated": Term(
        "Sharpe ratio allowing for autocorrelation",
        "ratio",
        "a year",
        "Annualised by what the returns' own autocorrelation implies in place of the square root "
        "of time (Lo 2002).",
    ),
    "sidak_p": Term(
        "Sidak p-value",
        "probability",
        "probability",
        "How often the best of this many trials without skill would look at least this good.",
    ),
    "pbo": Term(
        "Probability of backtest overfitting",
        "probability",
        "probability",
        "How often the best configuration on one half of the time falls below the median on "
        "the other half; noise averages 0.5.",
    ),
    "path_median": Term(
        "Sharpe ratio over cross-validated paths, median",
        "ratio",
        "a year",
        "The champion's configuration on whole histories put together from purged splits, whose "
        "models also learnt from later bars; their spread shows what it owes to one order of "
        "events.",
    ),
    "path_low": Term("Worst path", "ratio", "a year", "The lowest Sharpe ratio of a path."),
    "path_high": Term("Best path", "ratio", "a year", "The highest Sharpe ratio of a path."),
    "path_losing": Term(
        "Paths that lose", "probability", "share", "Share of paths with a Sharpe ratio below zero."
    ),
    "sharpe_interval": Term(
        "Sharpe ratio, bootstrap interval",
        "ratio",
        "a year",
        "Where the Sharpe ratio lies when blocks of the champion's own returns are redrawn; it "
        "knows nothing of the other trials.",
    ),
    "psr_active": Term(
        "Probability of beating buy and hold",
        "probability",
        "probability",
        "How likely the true mean of the champion's returns less those of buy and hold is above "
        "zero, if this were the only trial ever made.",
    ),
    "min_track_record_bars": Term(
        "Minimum track record length",
        "bars",
        "bars",
        "How many bars it takes before a Sharpe ratio of this size can be told from zero.",
    ),
    "track_record_bars": Term(
        "Track record length",
        "bars",
        "bars",
        "How many out-of-sample bars there are.",
    ),
}

# shown as one row, 'low to high'
INTERVAL = ("sharpe_low", "sharpe_high")


def metric(key: str, own: Mapping[str, Term]) -> Term:
    """The term of a metric; an unknown key, also to the user's `own`, is shown by its name."""
    return METRICS.get(key) or own.get(key) or Term(key.replace("_", " "), "plain", "")


def statistic(key: str, own: Mapping[str, Term]) -> Term:
    """The term of a statistic; as `metric`."""
    return STATISTICS.get(key) or own.get(key) or Term(key.replace("_", " "), "plain", "")


def own_term(name: str, unit: str, meaning: str) -> Term:
    """The term of a figure that the user added; an unknown unit is shown as a word."""
    label = name.replace("_", " ").capitalize()
    if unit in get_args(Unit):
        return Term(label, cast("Unit", unit), "%" if unit == "percent" else "", meaning)
    return Term(label, "plain", unit, meaning)
