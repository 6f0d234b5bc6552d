"""Admin verbs: what the command line does to a registry, over HTTP behind a token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from windtunnel.deployment.registry import Registry
from windtunnel.deployment.state import Mode, State
from windtunnel.serving import schemas
from windtunnel.serving.follow import Follower
from windtunnel.serving.gate import Gate
from windtunnel.serving.service import Service

Why = Annotated[str, Field(min_length=1, max_length=500, description="For the log.")]
Number = Annotated[int, Field(ge=1, le=10**9)]
Generation = Annotated[
    int | None,
    Field(ge=0, le=10**12, description="Refuse unless the registry is still of this generation."),
]
Weight = Annotated[float, Field(ge=0, le=1, description="Share of the requests.")]


class _Verb(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    why: Why
    generation: Generation = None


class Promote(_Verb):
    """Let a version serve, if the gate lets it through."""

    version: Number
    force: bool = Field(default=False, description="Pass the gate; it is recorded.")


class RollBack(_Verb):
    """Return to the previous champion, or to an earlier one."""

    version: Number | None = None


class StartCanary(_Verb):
    """Let a version take part in a share of the requests."""

    version: Number
    weight: Weight
    mode: Mode = "live"
    sticky: bool = False


class WeighCanary(_Verb):
    """Give the canary another share, or another mode."""

    weight: Weight
    mode: Mode | None = None


class StopCanary(_Verb):
    """Let the champion answer everything again."""


class Roles(BaseModel):
    """What the registry says now; the service takes it up within a moment."""

    model: str
    generation: int
    champion: int | None
    canary: int | None
    weight: float | None
    mode: str | None
    previous: int | None


def admin_router(service: Service, follower: Follower, gate: Gate) -> APIRouter:
    """The routes below ``/v1/admin``, each for the scope admin alone."""

    def allowed(request: Request) -> None:
        client = request.client.host if request.client else ""
        request.state.by = gate.check(dict(request.scope["headers"]), client, "admin")

    router = APIRouter(
        prefix="/v1/admin",
        responses=schemas.ADMIN_REFUSALS,
        tags=["admin"],
        dependencies=[Depends(allowed)],
    )

    async def change(verb: Callable[[Registry, str], State]) -> Roles:
        def work() -> State:
            return verb(service.registry, service.settle())

        state = await asyncio.to_thread(work)
        follower.nudge()
        return roles(state)

    @router.post("/reload")
    async def reload() -> Roles:
        """Look at the registry now, and try again versions that were refused."""

        def work() -> State:
            follower.look(again=True)
            return service.registry.state(service.settle())

        return roles(await asyncio.to_thread(work))

    @router.post("/promote")
    async def promote(verb: Promote, request: Request) -> Roles:
        """Let a version serve, if it replays and verdict and holdout allow it."""
        return await change(
            lambda registry, name: registry.promote(
                name,
                verb.version,
                why=verb.why,
                who=request.state.by,
                force=verb.force,
                generation=verb.generation,
            )
        )

    @router.post("/rollback")
    async def rollback(verb: RollBack, request: Request) -> Roles:
        """Return to the previous champion, or to an earlier one."""
        return await change(
            lambda registry, name: registry.rollback(
                name, verb.version, why=verb.why, who=request.state.by, generation=verb.generation
            )
        )

    @router.post("/canary/start")
    async def start_canary(verb: StartCanary, request: Request) -> Roles:
        """Let a version take part in a share of the requests."""
        return await change(
            lambda registry, name: registry.start_canary(
                name,
                verb.version,
                weight=verb.weight,
                mode=verb.mode,
                sticky=verb.sticky,
                why=verb.why,
                who=request.state.by,
                generation=verb.generation,
            )
        )

    @router.post("/canary/weight")
    async def weigh_canary(verb: WeighCanary, request: Request) -> Roles:
        """Give the canary another share, or another mode."""
        return await change(
            lambda registry, name: registry.weigh_canary(
                name,
                verb.weight,
                mode=verb.mode,
                why=verb.why,
                who=request.state.by,
                generation=verb.generation,
            )
        )

    @router.post("/canary/stop")
    async def stop_canary(verb: StopCanary, request: Request) -> Roles:
        """Let the champion answer everything again."""
        return await change(
            lambda registry, name: registry.stop_canary(
                name, why=verb.why, who=request.state.by, generation=verb.generation
            )
        )

    return router


def roles(state: State) -> Roles:
    """A state of the registry, for a client."""
    share: Any = state.canary
    return Roles(
        model=state.name,
        generation=state.generation,
        champion=state.champion,
        canary=None if share is None else share.version,
        weight=None if share is None else share.weight,
        mode=None if share is None else share.mode,
        previous=state.previous,
    )
