"""Where each model may learn and where it is judged."""

from windtunnel.splits.combinatorial import combinatorial_purged
from windtunnel.splits.groups import GroupPlan, Split
from windtunnel.splits.purged_kfold import purged_kfold
from windtunnel.splits.rows import purged_rows, train_rows
from windtunnel.splits.walk_forward import MIN_VALIDATION_BARS, Fold, Plan, walk_forward

__all__ = [
    "MIN_VALIDATION_BARS",
    "Fold",
    "GroupPlan",
    "Plan",
    "Split",
    "combinatorial_purged",
    "purged_kfold",
    "purged_rows",
    "train_rows",
    "walk_forward",
]
