"""Who may send, how much, and what slow, large and broken requests come to."""

import gzip
import http.client
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from otel_llmcost.errors import ConfigError
from otel_llmcost.processors.answers import BusyError, RefusedError
from otel_llmcost.processors.gate import Gate, Tenant, TokenBucket
from otel_llmcost.processors.stage.run import check
from otel_llmcost.settings import Settings
from polling import wait_until
from stage.running_stage import Stage, request, running
from stage.test_stage_answers import delay_of
from stage.test_stage_spans import FOREIGN, attributes, only
from up_process import GENAI

Code = grpc.StatusCode
MIB = 1024 * 1024


def post(
    stage: Stage, body: bytes, path: str = "/v1/traces", content_type: str = "application/x-protobuf", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", stage.http_port, timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("POST", path, body, {"Content-Type": content_type} | names)
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


@pytest.fixture
def tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    (tmp_path / "token").write_text("s3cret\n")
    monkeypatch.setenv("SECOND_TOKEN", "other")
    return [
        {"name": "ours", "token_file": str(tmp_path / "token"), "trusted": True},
        {"name": "guest", "token_env": "SECOND_TOKEN", "requests_per_s": 2},
    ]


def test_only_who_has_a_token_may_send(tenants: list[dict[str, Any]]) -> None:
    """UNAUTHENTICATED and 401 otherwise; each tenant is trusted or not."""
    with running({"tenants": tenants}) as stage:
        nobody = stage.refused(request())
        wrong = stage.refused(request(), authorization="Bearer s3cre")
        stage.send(request(GENAI | FOREIGN), authorization="Bearer s3cret")
        status, _, _ = post(stage, request(GENAI | FOREIGN).SerializeToString(), Authorization="Bearer other")
        refused, headers, _ = post(stage, request().SerializeToString())
        ours, guest = (attributes(only(each))["llmcost.tag.team"] for each in stage.sink.requests())

    assert [Code.UNAUTHENTICATED] * 2 == [nobody.code(), wrong.code()]
    assert (200, 401, "Bearer") == (status, refused, headers["www-authenticate"])
    assert ("others", "(none)") == (ours, guest)


def test_a_tenant_that_sends_too_much_is_told_when_to_come_again(tenants: list[dict[str, Any]]) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo, 429 with Retry-After; others go on."""
    guest = {"authorization": "Bearer other"}
    with running({"tenants": tenants}) as stage:
        for _ in range(2):
            stage.send(request(), **guest)
        error = stage.refused(request(), **guest)
        status, headers, _ = post(stage, request().SerializeToString(), Authorization="Bearer other")
        stage.send(request(), authorization="Bearer s3cret")

    assert Code.RESOURCE_EXHAUSTED == error.code()
    assert 0 < (delay_of(error) or 0) <= 0.5
    assert (429, "1") == (status, headers["retry-after"])


def test_a_bucket_fills_at_its_rate() -> None:
    """A request that is larger than the bucket goes through when it is full, and is paid for afterwards."""
    now = [0.0]
    bucket = TokenBucket(10.0, now=lambda: now[0])

    assert [0.0, 0.5] == [bucket.take(10), bucket.take(5)]
    now[0] = 0.5
    assert [0.0, 0.1] == [bucket.take(5), round(bucket.take(1), 9)]
    now[0] = 10.0
    assert 0.0 == bucket.take(40)
    now[0] = 13.0
    assert 0.1 == round(bucket.take(1), 9)


async def _answer() -> bytes:
    return b"ok"


def test_bytes_under_way_are_bounded() -> None:
    """What does not fit is told to come again; one message alone always fits."""
    import asyncio

    async def run() -> None:
        gate = Gate(max_bytes=100)
        held = asyncio.Event()

        async def wait() -> bytes:
            await held.wait()
            return b""

        first = asyncio.create_task(gate.run(Tenant(), 60, wait))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await gate.run(Tenant(), 60, _answer)
        assert b"ok" == await gate.run(Tenant(), 40, _answer)
        held.set()
        await first
        assert (0, b"ok") == (gate.bytes_in_flight, await gate.run(Tenant(), 1_000, _answer))
        assert 0 == gate.bytes_in_flight
        with pytest.raises(RefusedError):
            await gate.run(Tenant(volume=_Empty()), 1, _answer)

    asyncio.run(run())


def test_bytes_count_while_they_come_in_over_http() -> None:
    """Many slow senders of large bodies cannot fill the memory: others are told to come again, until they are gone."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
    with running({"max_in_flight_bytes": MIB, "read_timeout_s": 5}) as stage:
        with connect(stage.http_port) as slow:
            slow.sendall(head % (2 * MIB) + bytes(MIB - 1_000))
            wait_until(lambda: stage.counted()["llmcost_stage_in_flight_size_bytes"] > MIB - 2_000)
            status, headers, _ = post(stage, request(GENAI | {"text": "x" * 4_000}).SerializeToString())
            assert (503, "1") == (status, headers["retry-after"])
        wait_until(lambda: stage.counted()["llmcost_stage_in_flight_size_bytes"] == 0)
        assert 200 == post(stage, request().SerializeToString())[0]


class _Empty(TokenBucket):
    def __init__(self) -> None:
        super().__init__(1.0)
        self.take(1)


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_a_bomb_of_gzip_is_refused_in_bounded_memory(kind: str, stage: Stage) -> None:
    """200 MB of nothing in 200 KB."""
    before = peak_kb()
    if kind == "http":
        bomb = gzip.compress(bytes(200 * MIB), 9)
        status, _, _ = post(stage, bomb, Content_Encoding="gzip")
        assert 413 == status
        assert peak_kb() - before < 260_000  # the bomb itself was made here
        return
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{stage.grpc_port}", options, grpc.Compression.Gzip) as channel:
        method = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as caught:
            method(bytes(200 * MIB), timeout=30)
    assert Code.RESOURCE_EXHAUSTED == caught.value.code()


def peak_kb() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def test_slow_senders_lose_their_connection() -> None:
    """Neither the head nor the body of a request may come byte by byte for ever, nor a first message of gRPC."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 99\r\n\r\n"
    with running({"read_timeout_s": 0.6}) as stage:
        with connect(stage.http_port) as slow_head:
            slow_head.send(head[:20])
            assert b"" == _rest(slow_head)
        with connect(stage.http_port) as slow_body:
            slow_body.send(head + b"x")
            assert _rest(slow_body).startswith(b"HTTP/1.1 408")
        assert b"" == stage.send(request({"k": 1}))


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def _rest(connection: socket.socket) -> bytes:
    """What comes until the other side closes, or says something."""
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def test_a_call_of_grpc_without_its_message_ends() -> None:
    """UNAVAILABLE, so that nothing is lost."""
    with running({"read_timeout_s": 0.5}) as stage, grpc.insecure_channel(f"127.0.0.1:{stage.grpc_port}") as channel:
        method = channel.stream_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")

        def never() -> Any:
            time.sleep(2)
            yield b""

        with pytest.raises(grpc.RpcError) as caught:
            method(never(), timeout=10)
    assert Code.UNAVAILABLE == caught.value.code()


def test_json_comes_in_and_is_enriched(stage: Stage) -> None:
    """OTLP's JSON, gzipped too; the answer is JSON."""
    span = {
        "traceId": "0102030405060708090a0b0c0d0e0f10",
        "spanId": "0102030405060708",
        "startTimeUnixNano": "1795392000000000000",
        "endTimeUnixNano": "1795392001000000000",
        "attributes": [
            {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
            for key, value in GENAI.items()
        ],
    }
    body = gzip.compress(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode())

    status, _, answer = post(stage, body, content_type="application/json", Content_Encoding="gzip")

    assert (200, {}) == (status, json.loads(answer))
    assert 0.0045 == attributes(only(stage.sink.requests()[0]))["llmcost.cost.usd"]


def test_tls_asks_senders_for_their_certificate(tmp_path: Path) -> None:
    """mTLS on both ports: without a certificate of the authority there is no connection."""
    ca = trustme.CA()
    ours, theirs = ca.issue_cert("127.0.0.1"), ca.issue_cert("sender")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    theirs.private_key_and_cert_chain_pem.write_to_path(tmp_path / "theirs.pem")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = {"cert_file": str(tmp_path / "ours.pem"), "client_ca_file": str(tmp_path / "ca.pem")}
    key, chain = theirs.private_key_pem.bytes(), theirs.cert_chain_pems[0].bytes()
    with running({"tls": files}) as stage:
        known = grpc.ssl_channel_credentials(ca.cert_pem.bytes(), key, chain)
        unknown = grpc.ssl_channel_credentials(ca.cert_pem.bytes())
        path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        for credentials, expected in ((known, b""), (unknown, Code.UNAVAILABLE)):
            with grpc.secure_channel(f"127.0.0.1:{stage.grpc_port}", credentials) as channel:
                try:
                    found: object = channel.unary_unary(path)(request().SerializeToString(), timeout=5)
                except grpc.RpcError as error:
                    found = error.code()
            assert expected == found
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        context.load_cert_chain(tmp_path / "theirs.pem")
        secure = http.client.HTTPSConnection("127.0.0.1", stage.http_port, context=context, timeout=10)
        secure.request("POST", "/v1/traces", request().SerializeToString(), {"Content-Type": "application/x-protobuf"})
        assert 200 == secure.getresponse().status
        secure.close()
        assert 2 == len(stage.sink.bodies)


@pytest.mark.parametrize(
    ("stage", "top", "told"),
    [
        ({}, {}, "needs a next hop, a ledger or both"),
        ({"workers": 2}, {"ledger": "chdb:///x"}, "cannot share an embedded ledger"),
        ({"tenants": [{"name": "a", "token_env": "NO_SUCH"}]}, {"ledger": "otlp://h"}, "NO_SUCH is not set"),
        ({"tls": {"cert_file": "/no/such"}}, {"ledger": "otlp://h"}, "/no/such: cannot be read"),
        ({"tls": {"client_ca_file": "/x"}}, {"ledger": "otlp://h"}, "needs cert_file"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(stage: dict[str, Any], top: dict[str, Any], told: str) -> None:
    """Where it is wrong and what to do."""
    with pytest.raises(ConfigError, match=told):
        check(Settings.model_validate({"stage": stage, **top}))
