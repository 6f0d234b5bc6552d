"""What follows from a ruling on a canary: a change of the registry, on record."""

from __future__ import annotations

from windtunnel.deployment.registry import Registry
from windtunnel.deployment.state import State
from windtunnel.errors import PromotionRefusedError
from windtunnel.monitoring.canary_judge import Ruling

JUDGE = "canary judge"


def act(registry: Registry, state: State, ruling: Ruling) -> State:
    """Promote or withdraw the canary that was judged; with ``wait`` nothing happens.

    Parameters
    ----------
    state : State
        That under which the answers were counted: a ruling on a canary that somebody has
        replaced meanwhile is refused, and so is a second judge's on the same canary.

    Returns
    -------
    State
        What serves now. A canary that the gate refuses is withdrawn, with its reason.

    Raises
    ------
    RegistryError
        The registry has moved on since `state`.
    """
    if ruling.decision == "wait" or state.canary is None:
        return state
    if ruling.decision == "promote":
        try:
            return registry.promote(
                state.name,
                state.canary.version,
                why=ruling.why,
                who=JUDGE,
                generation=state.generation,
                evidence=ruling.figures,
            )
        except PromotionRefusedError as error:
            why = f"{ruling.why}, but {error.problem}"
    else:
        why = ruling.why
    return registry.stop_canary(
        state.name, why=why, who=JUDGE, generation=state.generation, evidence=ruling.figures
    )
