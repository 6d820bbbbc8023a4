"""A local model server with an OpenAI-compatible interface: a real model of transformers behind it, and canned answers for odd cases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from transformers import TextIteratorStreamer

from secagg.adapters.serving import Server
from tests.unit.fence.parrot import parrot


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The application on a free port, until the block is left."""
    address: list[str] = []
    there = threading.Event()

    def ready(at: str) -> None:
        address.append(at)
        there.set()

    server = Server(app, "127.0.0.1", 0, ready)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert there.wait(20)
    try:
        yield address[0]
    finally:
        server.should_exit = True
        thread.join(20)


class ModelServer:
    """Answers with what the model writes; or with `canned`, if there is something: a body, or a list of events as they are sent."""

    def __init__(self) -> None:
        self.canned: Any = None
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []

    def app(self) -> Starlette:
        paths = ("/v1/chat/completions", "/v1/completions")
        routes = [Route(path, self.complete, methods=["POST"]) for path in paths]
        return Starlette(routes=[*routes, Route("/v1/models", self.models)])

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "parrot", "object": "model", "created": 1, "owned_by": "us"}]})

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("authorization", ""))
        chat = request.url.path.endswith("chat/completions")
        if isinstance(self.canned, list):
            return StreamingResponse(iter(self.canned), media_type="text/event-stream")
        if isinstance(self.canned, Response):
            return self.canned
        if self.canned is not None:
            return JSONResponse(self.canned)
        prompt = " ".join(message["content"] for message in body["messages"]) if chat else body["prompt"]
        count, most = body.get("n", 1), body.get("max_tokens", 40)
        if body.get("stream"):
            return StreamingResponse(iterate_in_threadpool(_events(prompt, chat, most)), media_type="text/event-stream")
        texts = ["".join(_write(prompt, most)) for _ in range(count)]
        shape = [{"message": {"role": "assistant", "content": text}} if chat else {"text": text} for text in texts]
        choices = [{"index": at, "finish_reason": "stop", "logprobs": None, **one} for at, one in enumerate(shape)]
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        return JSONResponse({**_frame(chat), "choices": choices, "usage": usage, "prompt_logprobs": [{"text": "project falcon"}]})


def _frame(chat: bool, chunk: str = "") -> dict[str, Any]:
    return {"id": "one", "object": f"chat.completion{chunk}" if chat else "text_completion", "created": 1, "model": "parrot"}


def _write(prompt: str, most: int) -> Iterator[str]:
    model, tokenizer = parrot()
    streamer = TextIteratorStreamer(tokenizer, timeout=30, skip_prompt=True, skip_special_tokens=True)
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    thread = threading.Thread(target=model.generate, kwargs={**inputs, "streamer": streamer, "max_new_tokens": most, "do_sample": False})
    thread.start()
    yield from streamer
    thread.join()


def _events(prompt: str, chat: bool, most: int) -> Iterator[str]:
    for text in _write(prompt, most):
        body = {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}
        yield event({"index": 0, "finish_reason": None, **body}, chat)
    yield event({"index": 0, "finish_reason": "stop", **({"delta": {}} if chat else {"text": ""})}, chat)
    yield "data: [DONE]\n\n"


def event(choice: dict[str, Any], chat: bool = True) -> str:
    """One event of a stream."""
    return f"data: {json.dumps({**_frame(chat, '.chunk'), 'choices': [choice]})}\n\n"
