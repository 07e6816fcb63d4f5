"""OTLP over gRPC in front of the intakes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from otel_llmcost.errors import InputError
from otel_llmcost.processors.gate import Gate, Intake
from otel_llmcost.processors.signals import SIGNALS, Signal

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Largest request, decompressed. Collectors send up to 4 MiB unless told otherwise."""
READ_TIMEOUT_S: Final = 30.0
"""Longest time that a request may take to come in."""
NOT_TAKEN: Final = "otel-llmcost takes traces only: do not send {} here"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    read_timeout_s: float = READ_TIMEOUT_S


def grpc_server(
    intakes: Mapping[str, Intake], gate: Gate, limits: Limits | None = None, *, share_port: bool = False
) -> grpc.aio.Server:
    """An OTLP/gRPC server without a port yet. `intakes`: by the name of the signal; others are refused.

    `share_port`: several processes listen on it.
    """
    limits = limits or Limits()
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.max_message_bytes),
            ("grpc.so_reuseport", int(share_port)),  # else a second server on the port must fail, not share it
            ("grpc.max_concurrent_streams", gate.max_requests),
            ("grpc.server_handshake_timeout_ms", int(limits.read_timeout_s * 1000)),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ]
    )
    for signal in SIGNALS:
        intake = intakes.get(signal.name)
        export = _not_taken(signal) if intake is None else _export(signal, intake, gate, limits)
        server.add_generic_rpc_handlers((_service(signal, export),))
    return server


def _service(signal: Signal, export: Callable[[Any, Any], Any]) -> grpc.GenericRpcHandler:
    # For the sender this is a call with one message; here it is a stream, so that who sends is known, and refused,
    # before the message is read, and the time to read it is bounded. Messages are bytes: decoding stays off this loop.
    method = grpc.stream_unary_rpc_method_handler(export)
    return grpc.method_handlers_generic_handler(signal.service, {"Export": method})


def _export(signal: Signal, intake: Intake, gate: Gate, limits: Limits) -> Callable[[Any, Any], Any]:
    async def export(_requests: Any, context: Any) -> bytes:
        visit = gate.visit(signal.name)
        try:
            visit.enter(_metadata(context, "authorization"))
            async with asyncio.timeout(limits.read_timeout_s):
                body = await context.read()
            if body is grpc.aio.EOF:
                raise InputError("the request has no message")
            return await visit.take(body, intake)
        except Exception as error:  # noqa: BLE001 - left alone it would be UNKNOWN, which senders drop
            refusal = visit.refused(error)
        await context.abort(refusal.grpc_code, refusal.message, refusal.trailers())
        raise AssertionError("abort returns never")

    return export


def _metadata(context: Any, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else ""
    return ""


def _not_taken(signal: Signal) -> Callable[[Any, Any], Any]:
    async def export(_requests: Any, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, NOT_TAKEN.format(signal.name))
        raise AssertionError("abort returns never")

    return export
