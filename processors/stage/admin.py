"""The port for health and metrics: /healthz, /readyz and /metrics."""

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from otel_llmcost.processors.stage.exposition import CONTENT_TYPE, Family, exposed


class State(Protocol):
    """How the stage is. Texts say why it is not; empty where it is."""

    def unhealthy(self) -> str:
        """Why the process must be restarted."""

    def unready(self) -> str:
        """Why no new requests shall come here now."""


def admin_app(state: State, collect: Callable[[], Sequence[Family]]) -> Starlette:
    """`collect`: the metrics as they are now."""

    async def healthz(_request: Request) -> Response:
        return _told(state.unhealthy())

    async def readyz(_request: Request) -> Response:
        return _told(state.unhealthy() or state.unready())

    async def metrics(_request: Request) -> Response:
        return Response(exposed(collect()), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


def _told(problem: str) -> Response:
    return PlainTextResponse(f"{problem or 'ok'}\n", 503 if problem else 200)
