"""Who may send, how much, and how much is under way: decided before anything is decoded.

sender → tenant (by its token) → its limits → bytes and requests in flight → the intake
"""

import asyncio
import hmac
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Protocol

import grpc

from otel_llmcost.processors.answers import BusyError, Refusal, RefusedError, refusal_of

MAX_IN_FLIGHT: Final = 32
MAX_IN_FLIGHT_BYTES: Final = 256 * 1024 * 1024


class TokenBucket:
    """`rate_per_s` units a second, and as many at once as `burst_s` seconds bring."""

    def __init__(self, rate_per_s: float, burst_s: float = 1.0, now: Callable[[], float] = monotonic) -> None:
        self._rate_per_s = rate_per_s
        self._most = max(rate_per_s * burst_s, 1.0)
        self._now = now
        self._level = self._most
        self._at = now()

    def take(self, units: float) -> float:
        """Take units; 0.0, or the seconds after which to come again, with nothing taken.

        More than fits at once is let through when the bucket is full, and paid for by those who come after.
        """
        now = self._now()
        self._level = min(self._most, self._level + (now - self._at) * self._rate_per_s)
        self._at = now
        if self._level >= min(units, self._most):
            self._level -= units
            return 0.0
        return (min(units, self._most) - self._level) / self._rate_per_s


@dataclass(frozen=True, slots=True)
class Tenant:
    """A sender. `trusted`: what it says under `llmcost.*` is believed."""

    name: str = ""
    trusted: bool = False
    requests: TokenBucket | None = None
    volume: TokenBucket | None = None
    """Of bytes, decompressed."""


ANYBODY: Final = Tenant()


@dataclass(frozen=True, slots=True)
class Tenants:
    """Who holds which tokens. `anonymous`: who sends without one; None where nobody may."""

    by_token: Sequence[tuple[bytes, Tenant]] = ()
    anonymous: Tenant | None = ANYBODY

    def find(self, authorization: str) -> Tenant:
        """The sender with this `authorization`.

        Raises:
            RefusedError: there is none.
        """
        scheme, _, token = authorization.partition(" ")
        if not authorization and self.anonymous is not None:
            return self.anonymous
        given = token.strip().encode("utf-8", "replace")
        found = None
        for known, tenant in self.by_token:  # all of them, so that the time tells nothing
            if hmac.compare_digest(known, given):
                found = tenant
        if found is None or scheme.lower() != "bearer":
            raise RefusedError(
                Refusal(grpc.StatusCode.UNAUTHENTICATED, 401, "no valid bearer token: `authorization: Bearer …`")
            )
        return found


Observer = Callable[[str, str, str, int, float], None]
"""Is told of a request: signal, tenant, answer (a gRPC code), bytes, and when it was read (`monotonic`)."""


class Intake(Protocol):
    """Takes the messages of one signal, as protobuf."""

    async def take(self, body: bytes, tenant: Tenant) -> bytes:
        """The answer, as protobuf, once all that is owed is done.

        Raises:
            InputError: never as it is.
            RetryableError: not now.
            RefusedError: somebody behind said so.
        """


@dataclass
class Gate:
    """Counts what is under way. Lives on one event loop."""

    tenants: Tenants = field(default_factory=Tenants)
    max_requests: int = MAX_IN_FLIGHT
    max_bytes: int = MAX_IN_FLIGHT_BYTES
    observer: Observer | None = None
    bytes_in_flight: int = 0
    _tasks: set["asyncio.Task[Any]"] = field(default_factory=set)

    @property
    def requests_in_flight(self) -> int:
        return len(self._tasks)

    def check(self) -> None:
        """
        Raises:
            BusyError: as much is under way as may be.
        """
        if len(self._tasks) >= self.max_requests:
            raise BusyError(f"{self.max_requests} requests are under way")
        if self.bytes_in_flight >= self.max_bytes:
            raise BusyError(f"{self.max_bytes} bytes are under way")

    def visit(self, signal: str) -> "Visit":
        """A request that comes in now."""
        return Visit(self, signal)

    async def run(self, tenant: Tenant, size: int, work: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
        """What `work` gives for a message of `size` bytes, decompressed.

        Raises:
            BusyError: as much is under way as may be.
            RefusedError: the tenant has sent more than it may.
        """
        self.check()
        if self.bytes_in_flight and self.bytes_in_flight + size > self.max_bytes:
            raise BusyError(f"{self.max_bytes} bytes are under way")
        _charge(tenant, size)
        self.bytes_in_flight += size
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._leave(done, size))
        # A sender that hangs up ends its own wait only: its place is taken until the work is done.
        return await asyncio.shield(task)

    def _leave(self, task: "asyncio.Task[Any]", size: int) -> None:
        self._tasks.discard(task)
        self.bytes_in_flight -= size
        if not task.cancelled():
            task.exception()  # seen, also where the sender is gone

    async def drain(self, timeout_s: float | None = None) -> None:
        """Finish what is under way, for `timeout_s` at most: what is left then is not acknowledged, and comes again."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)


class Visit:
    """One request on its way through the gate; what it is answered is told to the gate's `observer`."""

    __slots__ = ("_gate", "_held", "_signal", "_size", "_started", "_tenant")

    def __init__(self, gate: Gate, signal: str) -> None:
        self._gate = gate
        self._signal = signal
        self._tenant = ANYBODY
        self._size = 0
        self._held = 0
        self._started = 0.0

    def enter(self, authorization: str) -> None:
        """Before the message is read.

        Raises:
            RefusedError: nobody knows the sender.
            BusyError: as much is under way as may be.
        """
        self._tenant = self._gate.tenants.find(authorization)
        self._gate.check()

    def hold(self, size: int) -> None:
        """Count bytes that are in memory already while the message still comes in.

        Raises:
            BusyError: as much is under way as may be.
        """
        others = self._gate.bytes_in_flight - self._held
        if others and others + self._held + size > self._gate.max_bytes:
            raise BusyError(f"{self._gate.max_bytes} bytes are under way")
        self._gate.bytes_in_flight += size
        self._held += size

    def release(self) -> None:
        """Count what was held no more. Safe to call twice."""
        self._gate.bytes_in_flight -= self._held
        self._held = 0

    async def take(self, body: bytes, intake: Intake) -> bytes:
        """The intake's answer to the message.

        Raises:
            Exception: to be handed to `refused`.
        """
        self.release()  # from here on the gate counts the whole message
        self._size, self._started = len(body), monotonic()
        answer = await self._gate.run(self._tenant, self._size, lambda: intake.take(body, self._tenant))
        self._tell("OK")
        return answer

    def refused(self, error: Exception) -> Refusal:
        """What to answer in place of success."""
        refusal = refusal_of(error)
        self._tell(refusal.grpc_code.name)
        return refusal

    def _tell(self, answer: str) -> None:
        if self._gate.observer is not None:
            self._gate.observer(self._signal, self._tenant.name, answer, self._size, self._started)


def _charge(tenant: Tenant, size: int) -> None:
    for bucket, units, what in ((tenant.requests, 1, "requests"), (tenant.volume, size, "bytes")):
        delay_s = bucket.take(units) if bucket is not None else 0.0
        if delay_s:
            message = f"{tenant.name or 'this sender'} sends more {what} a second than it may"
            raise RefusedError(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, message, delay_s))
