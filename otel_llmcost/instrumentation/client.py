"""Patching `send` of an httpx-like module: the public method that every SDK's request passes, sync or async.

httpx and httpx2 share this interface; the module is a parameter. With `stream=False` the body has been read when
`send` returns; with `stream=True` the response's byte stream is replaced by one that lets each chunk by, unchanged and
in its own time.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

from otel_llmcost.guard import host_unharmed
from otel_llmcost.instrumentation.observer import HttpRequest, ObservedCall, Observer


class ClientPatch:
    """`send` of both clients of a module, observed; `remove` restores the module."""

    def __init__(self, module: ModuleType, observer: Observer) -> None:
        self._module = module
        self._observer = observer
        self._sync_stream = _sync_stream_type(module.SyncByteStream)
        self._async_stream = _async_stream_type(module.AsyncByteStream)

    def apply(self) -> None:
        wrap_function_wrapper(self._module, "Client.send", self._send)
        wrap_function_wrapper(self._module, "AsyncClient.send", self._send_async)

    def apply_to(self, client: Any) -> None:
        """Observe one client only."""
        is_async = isinstance(client, self._module.AsyncClient)
        wrap_function_wrapper(client, "send", self._send_async if is_async else self._send)

    def remove(self) -> None:
        unwrap(self._module.Client, "send")
        unwrap(self._module.AsyncClient, "send")

    def _send(self, wrapped: Callable[..., Any], _client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        request = args[0] if args else kwargs.get("request")
        call = self._start(request, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        options = {key: value for key, value in kwargs.items() if key != "request"}
        try:
            with call.active():
                response = wrapped(self._to_send(request, call), *args[1:], **options)
        except BaseException as error:
            self._failed(call, request, error)
            raise
        return self._responded(call, request, response, kwargs, self._sync_stream)

    async def _send_async(
        self, wrapped: Callable[..., Awaitable[Any]], _client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        request = args[0] if args else kwargs.get("request")
        call = self._start(request, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        options = {key: value for key, value in kwargs.items() if key != "request"}
        try:
            with call.active():
                response = await wrapped(self._to_send(request, call), *args[1:], **options)
        except BaseException as error:
            self._failed(call, request, error)
            raise
        return self._responded(call, request, response, kwargs, self._async_stream)

    def _start(self, request: Any, kwargs: Mapping[str, Any]) -> ObservedCall | None:
        if not isinstance(request, self._module.Request):
            return None
        url = request.url
        body, form_model = b"", ""
        try:
            body = request.content
        except self._module.RequestNotRead:  # a body that is a stream is not read for us
            form_model = _form_model(request.stream)
        return self._observer.start(
            HttpRequest(
                method=request.method,
                scheme=url.scheme,
                host=url.host,
                port=url.port,
                path=url.path,
                headers=request.headers,
                body=body,
                streamed=bool(kwargs.get("stream")),
                form_model=form_model,
            )
        )

    def _to_send(self, request: Any, call: ObservedCall) -> Any:
        """The application's request, or one in its place that asks for the stream's usage, in plain bytes."""
        if call.body is None:
            return request
        headers = request.headers.copy()
        headers["content-length"] = str(len(call.body))
        headers["accept-encoding"] = "identity"
        return self._module.Request(
            request.method, request.url, headers=headers, content=call.body, extensions=request.extensions
        )

    def _responded(
        self,
        call: ObservedCall,
        request: Any,
        response: Any,
        kwargs: Mapping[str, Any],
        stream_type: Callable[..., Any],
    ) -> Any:
        with host_unharmed("response"):
            if call.body is not None and not response.history:
                response.request = request
            if response.is_stream_consumed or not kwargs.get("stream"):
                call.respond(response.status_code, response.headers, decoded=True)
                call.feed(response.content)
                call.complete()
            elif response.is_closed:  # by a hook of the application, unread
                call.respond(response.status_code, response.headers)
                call.close()
            else:
                call.respond(response.status_code, response.headers)
                response.stream = stream_type(response.stream, call)
        return response

    def _failed(self, call: ObservedCall, request: Any, error: BaseException) -> None:
        if isinstance(error, self._module.HTTPStatusError):  # a hook of the application raised on the status
            call.respond(error.response.status_code, error.response.headers)
        if call.body is not None and isinstance(error, self._module.RequestError):
            error.request = request
        call.fail(error)


def _sync_stream_type(base: type[Any]) -> type[Any]:
    """A byte stream that feeds a call, as a subclass of the module's own (it checks for that)."""

    class ObservedSyncStream(base):  # type: ignore[misc]
        def __init__(self, stream: Any, call: ObservedCall) -> None:
            self._stream = stream
            self._call = call

        def __iter__(self) -> Iterator[bytes]:
            with _ending(self._call) as call:
                try:
                    for chunk in self._stream:
                        if passed := call.feed(chunk):
                            yield passed
                except Exception:
                    if rest := call.rest():
                        yield rest
                    raise
                if rest := call.rest():
                    yield rest

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                self._call.close()

        def __del__(self) -> None:
            self._call.close()  # abandoned without a close

    return ObservedSyncStream


def _async_stream_type(base: type[Any]) -> type[Any]:
    """The same for `async for`."""

    class ObservedAsyncStream(base):  # type: ignore[misc]
        def __init__(self, stream: Any, call: ObservedCall) -> None:
            self._stream = stream
            self._call = call

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with _ending(self._call) as call:
                try:
                    async for chunk in self._stream:
                        if passed := call.feed(chunk):
                            yield passed
                except Exception:
                    if rest := call.rest():
                        yield rest
                    raise
                if rest := call.rest():
                    yield rest

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._call.close()

        def __del__(self) -> None:
            self._call.close()  # abandoned without a close

    return ObservedAsyncStream


def _form_model(stream: Any) -> str:
    """The field `model` of a multipart form, as audio transcription is asked for."""
    fields = getattr(stream, "fields", ())
    values = (getattr(field, "value", "") for field in fields if getattr(field, "name", "") == "model")
    return next((value for value in values if isinstance(value, str)), "")


class _ending:  # noqa: N801 - reads as a statement
    """Ends the call with the iteration of its body: complete, failed, or (the consumer left) closed later."""

    def __init__(self, call: ObservedCall) -> None:
        self._call = call

    def __enter__(self) -> ObservedCall:
        return self._call

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._call.complete()
        elif not isinstance(error, GeneratorExit):
            self._call.fail(error, streaming=True)
