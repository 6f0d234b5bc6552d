"""What a version must show before it may serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from windtunnel.deployment.manifest import Manifest
from windtunnel.errors import PromotionRefusedError


@dataclass(frozen=True)
class Finding:
    """The outcome of one rule, in words."""

    rule: str
    passed: bool
    sentence: str


def examine(manifest: Manifest, *, replays: bool, certificate: str) -> tuple[Finding, ...]:
    """Hold a bundle to the rules of promotion.

    Parameters
    ----------
    manifest : Manifest
    replays : bool
        Whether it replayed just now, on this machine.
    certificate : str
        The outcome of the replay in words.

    Returns
    -------
    tuple of Finding
        ``replay``: the exported bytes give the study's scores and exposures. ``verdict``: the
        study found a candidate, not a weak edge or none. ``holdout``: the sealed holdout was
        read, and by this study alone. A bundle that does not say is refused like one that
        says no.
    """
    evidence = manifest.evidence
    if evidence is None:
        unknown = "the bundle was exported by an earlier version and does not say"
        verdict = Finding("verdict", False, unknown)
        holdout = Finding("holdout", False, unknown)
    else:
        verdict = Finding("verdict", evidence.level == "candidate", manifest.verdict)
        looks = evidence.earlier_looks
        if not evidence.holdout_read:
            unread = "an audit failed, or earlier runs had read it"
            sentence = f"this study did not read it: {evidence.seal or unread}"
            holdout = Finding("holdout", False, sentence)
        elif looks:
            times = "once" if looks == 1 else f"{looks} times"
            holdout = Finding("holdout", False, f"it was read {times} before this study read it")
        else:
            holdout = Finding("holdout", True, "read once, by this study")
    return Finding("replay", replays, certificate), verdict, holdout


def failed(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Names of the rules that did not pass."""
    return tuple(finding.rule for finding in findings if not finding.passed)


def require(name: str, version: int, findings: Sequence[Finding], *, force: bool) -> None:
    """Let a version through, or say why not.

    Raises
    ------
    PromotionRefusedError
        A rule failed and it is not forced. A failed replay cannot be forced: what would serve
        is not what was tested.
    """
    lacking = failed(findings)
    if not lacking or (force and "replay" not in lacking):
        return
    reasons = "; ".join(
        f"{finding.rule}: {finding.sentence.rstrip('.')}"
        for finding in findings
        if not finding.passed
    )
    remedy = (
        "Export it again with the versions that serve it; a replay cannot be forced"
        if "replay" in lacking
        else "Leave what serves as it is, or force it with a reason, which is recorded"
    )
    raise PromotionRefusedError(f"{name!r}: version {version} may not serve: {reasons}", remedy)
