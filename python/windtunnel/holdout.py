"""The seal on the holdout: who looked at which bars, when, and whether it was forced.

The last bars of a study are worth something only while nobody has chosen by them. Every
look is therefore recorded before it is taken, and a second look, or one at bars that trials were
judged on, is refused unless it is forced with a reason, which every later report shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windtunnel.append_only import AppendOnlyFile
from windtunnel.errors import HoldoutSealedError
from windtunnel.span import Span, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from windtunnel.span import Moment

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LookRecord:
    """One look at a holdout.

    Attributes
    ----------
    run_id : str
    looked : str
        When, ISO 8601 in UTC.
    span : Span
        The bars that were read.
    forced : bool
        Whether it overrode the refusal that earlier looks had caused.
    reason : str or None
        Why it was forced.
    model : str or None
        Digest of the model that was judged; None of older lines.
    tried : tuple of str
        Trials that had been judged on these bars before, in words.
    """

    run_id: str
    looked: str
    span: Span
    forced: bool
    reason: str | None
    model: str | None = None
    tried: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"run {self.run_id} on {self.looked[:10]}"
        return f"{text} (forced: {self.reason})" if self.forced else text


@dataclass(frozen=True, slots=True)
class HoldoutLook:
    """Leave to look: the record that was made of it, and the looks before it."""

    record: LookRecord
    before: tuple[LookRecord, ...]

    @property
    def earlier(self) -> tuple[str, ...]:
        """What had been seen of these bars before this look, in words."""
        return (*(str(record) for record in self.before), *self.record.tried)

    @property
    def seal(self) -> str:
        """What a report says of the seal, in a sentence."""
        day = self.record.looked[:10]
        if not self.earlier:
            return f"sealed until this run read it, once, on {day}"
        looks = "1 earlier look" if len(self.earlier) == 1 else f"{len(self.earlier)} earlier looks"
        return (
            f"broken: {looks}, by {'; '.join(self.earlier)}; read again on {day} "
            f"by force (reason: {self.record.reason})"
        )


class HoldoutRegister:
    """The append-only file of looks.

    Parameters
    ----------
    path : Path
        Usually ``runs/holdout.jsonl``; need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._file = AppendOnlyFile(path, "holdout register")

    def looks(self) -> list[LookRecord]:
        """Read all looks, oldest first.

        Raises
        ------
        RunError
            A line cannot be read; the message names it.
        """
        return self._parse(self._file.read())

    def open(
        self,
        run_id: str,
        symbols: Iterable[str],
        start: Moment,
        end: Moment,
        *,
        model: str,
        tried: Sequence[str] = (),
        force_reason: str | None = None,
    ) -> HoldoutLook:
        """Give leave to look, recorded, or refuse; see `open_holdout`."""
        span = Span.of(symbols, start, end)
        reason = (force_reason or "").strip()
        with self._file.exclusive() as held:  # two runs must not both be the first
            overlapping = [
                record for record in self._parse(held.read()) if record.span.overlaps(span)
            ]
            for place, record in enumerate(overlapping):
                again = record.run_id == run_id and record.span == span
                if again and record.model in {None, model}:
                    return HoldoutLook(record, tuple(overlapping[:place]))
            before = tuple(overlapping)
            forced = bool(before or tried)
            if forced and not reason:
                raise _sealed(span, (*map(str, before), *tried))
            record = LookRecord(
                run_id,
                utc_text(datetime.now(UTC)),
                span,
                forced,
                reason if forced else None,
                model,
                tuple(tried),
            )
            held.append(_line(record))
        return HoldoutLook(record, before)

    def _parse(self, lines: list[dict[str, Any]]) -> list[LookRecord]:
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(_look(line))
            except (KeyError, TypeError, ValueError) as error:
                raise self._file.damaged(
                    number, f"is not a look ({type(error).__name__}: {error})"
                ) from None
        return records


def open_holdout(
    register_path: Path,
    run_id: str,
    symbols: Iterable[str],
    start: Moment,
    end: Moment,
    *,
    model: str,
    tried: Sequence[str] = (),
    force_reason: str | None = None,
) -> HoldoutLook:
    """Give leave to read a holdout; call it before the first value is read.

    Parameters
    ----------
    register_path : Path
        The register of looks.
    run_id : str
        Who looks. The same run may look at the same bars with the same model again, as after a
        crash; that look is recorded once.
    symbols : iterable of str
    start, end : datetime, datetime64 or ISO 8601 str
        First and last bar of the holdout, both included.
    model : str
        Digest of the model that is judged; with another one it is another look.
    tried : sequence of str
        Trials that have been judged on bars of the holdout, in words: to have chosen by them is
        to have looked.
    force_reason : str, optional
        Why the holdout is read although bars of it were looked at. Leaks: what is chosen after
        a second look has been fitted to the holdout. Without effect on a first look.

    Returns
    -------
    HoldoutLook
        Already recorded, on the disk.

    Raises
    ------
    HoldoutSealedError
        Bars of it have been looked at before and no reason was given.
    RunError
        The register is damaged.
    DataError
        The symbols or the range make no sense.
    """
    return HoldoutRegister(register_path).open(
        run_id, symbols, start, end, model=model, tried=tried, force_reason=force_reason
    )


def _sealed(span: Span, before: tuple[str, ...]) -> HoldoutSealedError:
    more = f", and {len(before) - 1} later" if len(before) > 1 else ""
    return HoldoutSealedError(
        f"holdout {span.start[:10]} to {span.end[:10]} of {', '.join(span.symbols)} was looked at "
        f"before, by {before[0]}{more}",
        "Hold out bars that nobody has looked at, or give a reason to look again; the reason is "
        "recorded and shown in every later report",
    )


def _line(record: LookRecord) -> dict[str, Any]:
    return {
        "run": record.run_id,
        "format": FORMAT,
        "looked": record.looked,
        "symbols": list(record.span.symbols),
        "start": record.span.start,
        "end": record.span.end,
        "forced": record.forced,
        "reason": record.reason,
        "model": record.model,
        "tried": list(record.tried),
    }


def _look(line: dict[str, Any]) -> LookRecord:
    if line["format"] != FORMAT:
        raise ValueError(f"format {line['format']!r} is not {FORMAT}")
    return LookRecord(
        run_id=str(line["run"]),
        looked=str(line["looked"]),
        span=Span(tuple(line["symbols"]), str(line["start"]), str(line["end"])),
        forced=bool(line["forced"]),
        reason=None if line["reason"] is None else str(line["reason"]),
        model=line.get("model"),
        tried=tuple(line.get("tried", ())),
    )
