"""A proxy in front of an OpenAI-compatible server: its answers pass the fence, whole ones and streams.

```
client ── POST /v1/chat/completions ──> proxy ──> server
       <── fenced answer or events ──── fence <── answer or events
```

Only what is known is let through: chat and text completions, the list of models. What would tell what the fence holds back (log
probabilities) is refused. The caller's authorisation is passed on; the proxy keeps no key and no text.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from secagg.errors import ConfigError
from secagg.filters.fence import Fence
from secagg.filters.fence.answers import AnswerStream, fenced_answer, fenced_error, fenced_models
from secagg.filters.fence.monitor import Monitor

log = logging.getLogger(__name__)

LARGEST = 16 << 20
"""Bytes of a request, of an answer, and of a line in a stream."""
_PASSED_ON = ("authorization", "openai-organization", "openai-project")
_TELLING = ("logprobs", "top_logprobs", "prompt_logprobs", "return_token_ids", "return_tokens_as_token_ids")
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What a body that is no answer raises on its way through."""


class _Refused(Exception):
    """A request that is not passed on."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Proxy:
    """The routes of one proxy.

    Args:
        fence: what is blocked.
        upstream: the server's address up to and with `/v1`.
        monitor: counts; its series are at `/metrics`.
        client: how the server is asked; one with this library's timeouts by default.

    Raises:
        ConfigError: an address that is none.
    """

    def __init__(self, fence: Fence, upstream: str, *, monitor: Monitor | None = None, client: httpx.AsyncClient | None = None) -> None:
        if not upstream.startswith(("http://", "https://")):
            raise ConfigError(f"upstream {upstream!r}: give an address such as http://127.0.0.1:8000/v1")
        self.fence, self.monitor = fence, monitor
        self._upstream = upstream.rstrip("/")
        # A model may think for long before its first token; a connection is there at once or not at all.
        self._client = client or httpx.AsyncClient(timeout=httpx.Timeout(600, connect=10), trust_env=False)

    def app(self) -> Starlette:
        """The application, for any ASGI server."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            await self._client.aclose()

        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/healthz", self._health),
        ]
        if self.monitor is not None:
            routes.append(Route("/metrics", self._metrics))
        return Starlette(routes=routes, lifespan=lifespan, exception_handlers={_Refused: _explain, httpx.HTTPError: _unreachable})

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _metrics(self, _: Request) -> Response:
        assert self.monitor is not None  # noqa: S101  # the route is there only then
        return Response(self.monitor.render(), media_type="text/plain; version=0.0.4")

    async def _models(self, request: Request) -> Response:
        answer = await self._client.get(f"{self._upstream}/models", headers=_headers(request))
        try:
            body = self._error(answer.content) if answer.is_error else fenced_models(_json(answer.content), self.fence)
        except _BROKEN as error:
            raise _Refused(502, f"the server's list of models is none ({type(error).__name__})") from error
        return JSONResponse(body, answer.status_code)

    async def _complete(self, request: Request) -> Response:
        body = await _asked(request)
        path = request.url.path.removeprefix("/v1")
        sent = self._client.build_request("POST", self._upstream + path, json=body, headers=_headers(request))
        answer = await self._client.send(sent, stream=True)
        if answer.is_success and body.get("stream"):
            return StreamingResponse(self._events(answer, _count(body)), media_type="text/event-stream")
        try:
            content = await _bounded(answer)
        finally:
            await answer.aclose()
        if not answer.is_success:
            return JSONResponse(self._error(content), answer.status_code if answer.is_error else 502)
        try:
            return JSONResponse(fenced_answer(_json(content), self.fence, self.monitor))
        except _BROKEN as error:
            raise _Refused(502, f"the server's answer is none ({type(error).__name__})") from error

    async def _events(self, answer: httpx.Response, choices: int) -> AsyncIterator[str]:
        """Events that may go out; also when the server breaks off, what was held back is looked at first."""
        stream = AnswerStream(self.fence, self.monitor)
        try:
            async for event in EventSource(_lines(answer)).aiter_sse():
                if event.data == "[DONE]":
                    break
                said = json.loads(event.data)
                if said.get("error"):
                    for out in stream.close():
                        yield _event(out)
                    yield _event(fenced_error(said, self.fence))
                    return
                for out in stream.feed(said):
                    yield _event(out)
                if stream.refused(choices):
                    break
            for out in stream.close():
                yield _event(out)
        except (httpx.HTTPError, SSEError, *_BROKEN) as error:
            log.warning("a stream of the server broke off: %s", type(error).__name__)
            for out in stream.close():
                yield _event(out)
            yield _event({"error": {"message": "the server's stream broke off", "type": "upstream_error", "param": None, "code": None}})
        finally:
            await answer.aclose()
        yield "data: [DONE]\n\n"

    def _error(self, content: bytes) -> dict[str, Any]:
        try:
            return fenced_error(json.loads(content), self.fence)
        except ValueError:
            return fenced_error(None, self.fence)


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, allow_nan=False)}\n\n"


async def _bounded(answer: httpx.Response) -> bytes:
    """A whole answer, if it is none that fills the memory."""
    content = b""
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > LARGEST:
            raise _Refused(502, f"the server's answer has more than {LARGEST} bytes")
    return content


def _lines(answer: httpx.Response) -> httpx.Response:
    """The same stream, which ends with an error at a line that is too long to be an event."""

    async def chunks() -> AsyncIterator[bytes]:
        length = 0
        async for chunk in answer.aiter_bytes():
            last = chunk.rfind(b"\n")
            length = length + len(chunk) if last < 0 else len(chunk) - last - 1
            if length > LARGEST:
                raise SSEError(f"a line of more than {LARGEST} bytes")
            yield chunk

    return httpx.Response(200, headers={"content-type": answer.headers.get("content-type", "")}, content=chunks())


def _count(body: Mapping[str, Any]) -> int:
    """How many choices were asked for."""
    count = body.get("n")
    return count if isinstance(count, int) and count > 0 else 1


def _headers(request: Request) -> dict[str, str]:
    return {"accept-encoding": "identity", **{name: request.headers[name] for name in _PASSED_ON if name in request.headers}}


def _json(content: bytes) -> dict[str, Any]:
    body = json.loads(content)
    if not isinstance(body, dict):
        raise TypeError
    return body


async def _asked(request: Request) -> dict[str, Any]:
    """The body of a request, if it may be passed on."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST:
            raise _Refused(413, f"a request may have {LARGEST} bytes")
    try:
        body = _json(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise _Refused(400, "the body of a request is a JSON object") from error
    for name in _TELLING:
        if body.get(name) not in (None, False):
            raise _Refused(400, f"{name} would tell what the fence holds back: ask without it")
    return body


async def _explain(_: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)  # noqa: S101  # registered for it alone
    kind = "invalid_request_error" if error.status < 500 else "upstream_error"
    return JSONResponse({"error": {"message": error.reason, "type": kind, "param": None, "code": None}}, error.status)


async def _unreachable(_: Request, error: Exception) -> Response:
    status = 504 if isinstance(error, httpx.TimeoutException) else 502
    log.warning("the server cannot be reached: %s", type(error).__name__)
    return JSONResponse(
        {"error": {"message": "the server cannot be reached", "type": "upstream_error", "param": None, "code": None}}, status
    )
