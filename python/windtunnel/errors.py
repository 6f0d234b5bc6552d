"""Every error that Windtunnel raises on purpose, under one root.

An error names the place (field, column, bar, trial), the value found there and the
remedy, so that a reader can act on it without opening the source.
"""

from __future__ import annotations


class WindtunnelError(Exception):
    """Root of all errors raised on purpose by Windtunnel.

    Parameters
    ----------
    problem : str
        What is wrong: the place, the rule and the value found.
    remedy : str
        What the user can do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}".rstrip(". ") + "." if remedy else problem)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[WindtunnelError], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)


class StudyFileError(WindtunnelError):
    """The study file is not valid: a wrong field, type or value."""

    exit_code = 2


class DataError(WindtunnelError):
    """Bars cannot be used as they are: a wrong column, order, time zone or price."""

    exit_code = 3


class FeatureError(WindtunnelError):
    """A feature is unknown or its parameters are out of range."""

    exit_code = 2


class SplitError(WindtunnelError):
    """The history is too short for the folds, or a fold has no rows to train on."""

    exit_code = 3


class SearchSpaceError(WindtunnelError):
    """The search space is empty or names what cannot be searched."""

    exit_code = 2


class TuningError(WindtunnelError):
    """A tuning strategy was told what it did not ask for, or resumed with another history."""

    exit_code = 4


class TrainingError(WindtunnelError):
    """Training could not produce a single usable trial."""

    exit_code = 4


class BacktestError(WindtunnelError, ValueError):
    """The engine was called with arrays or parameters that it cannot use."""

    exit_code = 4


class CoreUnavailableError(WindtunnelError, ImportError):
    """The compiled engine is not installed, or was built for another Python or processor."""

    exit_code = 4


class MetricError(WindtunnelError, ValueError):
    """A metric or statistic was asked of values on which it is not defined."""

    exit_code = 4


class ExtensionError(MetricError):
    """A file of additions is missing or broken, or registers nothing."""

    exit_code = 2


class RunError(WindtunnelError):
    """A run directory is missing, of another study, or damaged."""

    exit_code = 5


class HoldoutSealedError(WindtunnelError):
    """The holdout has been read before; a second look was refused."""

    exit_code = 6


class BundleError(WindtunnelError):
    """An exported bundle is incomplete, altered or does not replay."""

    exit_code = 7


class RegistryError(WindtunnelError):
    """The registry has no such model, version or alias, or refuses a change."""

    exit_code = 7


class PromotionRefusedError(RegistryError):
    """A version did not pass the gate in front of production."""


class MemoryBankError(WindtunnelError):
    """The memory bank does not agree with the records it was written from."""

    exit_code = 8


class ReportError(WindtunnelError, ValueError):
    """What a report was given does not fit together: a wrong length, column or trial."""

    exit_code = 9


class MonitoringError(WindtunnelError, ValueError):
    """A monitor, an alert rule or a sink was set up with what it cannot use."""

    exit_code = 11


class RetrainError(WindtunnelError):
    """A re-study is refused: its budget or frequency is used up, or there is nothing new."""

    exit_code = 12


class ServiceError(WindtunnelError):
    """The prediction service was set up in a way that cannot work."""

    exit_code = 13


class PathError(WindtunnelError):
    """A file or folder cannot be read or written: what the operating system refused."""

    exit_code = 15


def first_line(error: Exception) -> str:
    """What a foreign error says first, for a message of ours; its class where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
