"""What is watched and who is told: the monitor file, every field with its default and rule."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from windtunnel.config.section import Section
from windtunnel.errors import MonitoringError
from windtunnel.monitoring.alerts.duration import Duration
from windtunnel.monitoring.alerts.rules import NAME, Rule, Silence, SinkSection
from windtunnel.monitoring.burn_rate import Objective
from windtunnel.monitoring.decay.account import FEWEST
from windtunnel.monitoring.drift.detector import DriftSettings


class DriftSection(Section):
    """Whether what the model sees is what it was trained on."""

    window: int = Field(default=60, ge=10, description="Bars compared with the training rows.")
    stride: int = Field(default=20, ge=1, description="Bars from one check to the next.")
    false_alarm_bars: int = Field(
        default=1260,
        ge=2,
        description="Bars between the beginnings of two alarms although nothing drifted, at least; "
        "the threshold is calibrated for it. Not kept where the training rows hold fewer than "
        "about eight independent stretches: an alert and a warning say so.",
    )
    false_discovery_rate: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the features named that may be wrong."
    )
    resamples: int = Field(
        default=1500, ge=100, le=100_000, description="Of the training rows, for the calibration."
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Of the resamples.")

    def settings(self) -> DriftSettings:
        """The same for the detector."""
        return DriftSettings(**self.model_dump())


class StreamSection(Section):
    """Whether a stream changes: the mean score, and how far features lie from training."""

    kind: Literal["auto", "page_hinkley", "adwin", "off"] = Field(
        default="auto",
        description="'page_hinkley' is quickest for abrupt changes, 'adwin' finds changes of any "
        "speed; both need `pip install 'windtunnel[drift]'`. 'auto' takes the first where it is "
        "installed.",
    )
    false_alarm_bars: int = Field(
        default=1260,
        ge=100,
        le=100_000,
        description="Bars between two false alarms, at least; the detectors are calibrated for it.",
    )


class DecaySection(Section):
    """Whether the model still is as good as it was said to be."""

    ic_floor: float = Field(
        default=0.0, ge=-1, le=1, description="Live information coefficient that is asked for."
    )
    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="Chance of ever alarming without cause, of each of the sequences; of skill, "
        "account and slippage asymptotically.",
    )
    fewest: int = Field(
        default=FEWEST,
        ge=30,
        description="Bars or fills before which account and slippage say nothing. With fewer a "
        "gross shortfall is told of sooner, and more false alarms come from skewed costs.",
    )
    equity_tolerance_bps: float = Field(
        default=0.0,
        ge=0,
        description="Shortfall of the account against the backtest that is accepted, basis "
        "points of equity a bar.",
    )
    assumed_bps: float | None = Field(
        default=None,
        ge=0,
        description="Slippage that the study reckoned with, basis points of price; absent, the "
        "half-spread of the bundle's own account.",
    )


class BarsSection(Section):
    """When bars are missing."""

    stale_after: Duration | None = Field(
        default=None,
        description="No bar for this long is an alert; absent, three times the longest gap "
        "between the bars that the bundle carries, nights and weekends included.",
    )
    missing_after: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Bars in a row that an instrument may lack while others have them.",
    )


class ObjectiveSection(Section):
    """A promise about the service's answers."""

    name: str = Field(pattern=NAME)
    target: float = Field(default=0.99, gt=0, lt=1, description="Share of good predictions.")
    seconds: float = Field(gt=0, description="A prediction answered within it is good.")

    def objective(self) -> Objective:
        """The same for the meter."""
        return Objective(self.name, self.target, self.seconds)


class PictureSection(Section):
    """Where pictures of alerts are kept."""

    link: str = Field(
        default="",
        description="Address below which the folder of pictures can be reached, put before their "
        "names in messages; the path itself when empty.",
    )


class RetrainSection(Section):
    """When a study may be carried out again, and what it may cost."""

    rules: tuple[str, ...] = Field(
        default=("features drift", "skill is gone"),
        strict=False,
        description="Alert rules that begin a re-study where one is triggered by alerts.",
    )
    cooldown: Duration = Field(
        default=timedelta(days=7), description="Shortest time from one re-study to the next."
    )
    per_month: int = Field(
        default=2, ge=1, le=1000, description="Re-studies of a model within 30 days."
    )
    trials: int | None = Field(
        default=None, ge=1, description="Trials of one re-study; the study's own when absent."
    )
    trials_per_month: int | None = Field(
        default=None, ge=1, description="Trials of all re-studies of a model within 30 days."
    )
    fewest_bars: int = Field(
        default=60,
        ge=20,
        description="New bars that a re-study needs; its holdout is cut from them alone.",
    )
    weight: float = Field(
        default=0.1, gt=0, le=1, description="Share of the requests that the canary answers."
    )
    mode: Literal["live", "shadow"] = Field(
        default="live",
        description="'live' lets the canary's answers out, 'shadow' only compares them.",
    )


# One rule a signal; a file with rules of its own has only those.
DEFAULT_RULES = (
    Rule(name="bars are stale", on="stale_bars", severity="critical"),
    Rule(name="bars are ahead of time", on="future_bars"),
    Rule(name="instrument without bars", on="missing_bars"),
    Rule(name="features drift", on="drift"),
    Rule(name="stream has changed", on="stream_drift"),
    Rule(name="skill is gone", on="ic", severity="critical"),
    Rule(name="probabilities are off", on="calibration"),
    Rule(name="account falls behind", on="equity", severity="critical"),
    Rule(name="fills cost more", on="slippage"),
    Rule(name="objective burns", on="latency", severity="critical", cooldown=timedelta(hours=1)),
    Rule(name="observer loses events", on="observer"),
)


class MonitorFile(Section):
    """A whole monitor file."""

    drift: DriftSection = DriftSection()
    streams: StreamSection = StreamSection()
    decay: DecaySection = DecaySection()
    bars: BarsSection = BarsSection()
    pictures: PictureSection = PictureSection()
    retrain: RetrainSection = RetrainSection()
    objective: tuple[ObjectiveSection, ...] = Field(default=(), strict=False)
    rule: tuple[Rule, ...] = Field(default=DEFAULT_RULES, strict=False)
    silence: tuple[Silence, ...] = Field(default=(), strict=False)
    sink: tuple[SinkSection, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.drift.false_alarm_bars < 2 * self.drift.stride:
            raise ValueError(
                f"drift.false_alarm_bars: must be at least two strides, "
                f"{2 * self.drift.stride} bars, got {self.drift.false_alarm_bars}"
            )
        known = [sink.name for sink in self.sink]
        for kind, names in (
            ("sink", known),
            ("rule", [rule.name for rule in self.rule]),
            ("objective", [objective.name for objective in self.objective]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind}: the name {twice[0]!r} is used twice")
        for rule in self.rule:
            for name in rule.sinks:
                if name not in known:
                    raise ValueError(
                        f"rule {rule.name!r}: there is no sink {name!r}; "
                        f"sinks are {', '.join(known) or 'none'}"
                    )
        return self


def load_monitor_file(path: str | Path | None) -> MonitorFile:
    """Read a monitor file; the defaults without one.

    Raises
    ------
    MonitoringError
        The file is missing, is not TOML, or a field is unknown, mistyped or out of range.
    """
    if path is None:
        return MonitorFile()
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MonitoringError(
            f"monitor file {str(path)!r} cannot be read: {error}",
            "Give a TOML file; docs/monitoring.md shows one",
        ) from None
    try:
        return MonitorFile.model_validate(raw)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False):
            place = ".".join(str(part) for part in item["loc"])
            message = item["msg"].removeprefix("Value error, ")
            found = item.get("input")
            shown = f" (found {found!r})" if isinstance(found, str | int | float) else ""
            problems.append(f"{place}: {message}{shown}" if place else message)
        raise MonitoringError(
            f"monitor file {str(path)!r}: {'; '.join(problems)}",
            "`windtunnel monitor schema` prints every field with its default and rule",
        ) from None
