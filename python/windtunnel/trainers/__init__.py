"""Training: many configurations, folds and seeds in one compiled program."""
