"""One test for a sync and an async SDK: what the one returns at once the other lets one await."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from typing import Any

from pydantic import BaseModel

Mode = Callable[[Any], Awaitable[list[Any]]]
"""What is done with a client of either kind; gives all that the SDK gave."""

CLOCK_FIELDS = frozenset({"created", "created_at"})
"""Taken from the provider's clock, so they differ from run to run."""


async def settled(value: Any) -> Any:
    """The value, awaited where it is awaitable."""
    return await value if inspect.isawaitable(value) else value


async def each(stream: Any) -> AsyncIterator[Any]:
    """The items of a stream of either kind."""
    stream = await settled(stream)
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


async def listed(stream: Any) -> list[Any]:
    """All items of a stream of either kind."""
    return [item async for item in each(stream)]


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """What `with` or `async with` gives."""
    manager = await settled(manager)
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def plain(value: Any) -> Any:
    """Parsed objects and events as plain data, fit to be compared, without what a clock says."""
    if isinstance(value, BaseModel):
        value = {"__class__": type(value).__name__, **dict(value), **(value.model_extra or {})}
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in CLOCK_FIELDS}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def drive(make_client: Callable[[], Any], mode: Mode) -> list[Any]:
    """Run a mode with a client of its own in an event loop of its own; gives plain data."""

    async def run() -> list[Any]:
        client = make_client()
        try:
            return [plain(item) for item in await mode(client)]
        finally:
            await close(client)

    return asyncio.run(run())


async def close(client: Any) -> None:
    """Close an SDK's client, whatever it calls that."""
    for name in ("aclose", "close"):
        if callable(getattr(client, name, None)):
            await settled(getattr(client, name)())
            return
