"""Answers of an OpenAI-compatible server, field by field: what a model wrote is fenced, and what is not known is left out.

| field | fenced |
|---|---|
| `content`, `refusal`, `reasoning`, `reasoning_content`, `text` | as text; in a stream each has its own filter |
| arguments of a tool | the strings in the JSON, escapes read; in a stream they are held until they are whole |
| names of tools and ids of calls, error messages, the frame's own strings (`id`, `model`, …) | as text |
| numbers of `usage` | as they are, under names that pass the fence |
| log probabilities, token ids, audio, unknown fields | left out: they would tell what the fence holds back |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from secagg.filters.fence.fence import Fence
from secagg.filters.fence.monitor import Monitor
from secagg.filters.fence.stream import StreamFilter

Json = dict[str, Any]
_KEPT = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
_MODEL = ("id", "object", "created", "owned_by")
_TEXTS = ("content", "refusal", "reasoning", "reasoning_content")
_ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
FILTERED = "content_filter"
"""The reason that an answer ends with when it was refused."""
_REASONS = frozenset({"stop", "length", "tool_calls", "function_call", FILTERED})
_ROLES = frozenset({"assistant", "tool", "function", "user", "system", "developer"})


def _reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return reason if reason is None or reason in _REASONS else "stop"


def _role(message: Mapping[str, Any]) -> str:
    role = message.get("role")
    return role if role in _ROLES else "assistant"


def _joined(text: str) -> str:
    """Halves of a character (escapes such as "\\ud835\\udc29", sent one by one) put together, as a client does; a half alone is no text."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if any("\ud800" <= c <= "\udfff" for c in text) else text


class Clean:
    """Fences texts and tells the monitor; knows whether something was found."""

    def __init__(self, fence: Fence, monitor: Monitor | None) -> None:
        self.fence, self.monitor = fence, monitor
        self.found = False

    def text(self, text: str) -> str:
        """Free text."""
        fenced = self.fence.apply(_joined(text), seen=None if self.monitor is None else self.monitor.hit)
        self.found = self.found or bool(fenced.hits)
        if self.monitor is not None:
            self.monitor.text(len(fenced.hits), refused=bool(fenced.hits) and self.fence.action == "refuse")
        return fenced.text

    def parts(self, content: Any) -> Any:  # noqa: ANN401  # JSON
        """The content of a message: text, or parts of which only text is kept."""
        if isinstance(content, str):
            return self.text(content)
        if isinstance(content, list):
            texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
            return [{"type": "text", "text": self.text(text)} for text in texts if isinstance(text, str)]
        return None

    def arguments(self, text: str) -> str:
        """Arguments of a tool: the strings of the JSON. What is no JSON, or spells something out over several strings, goes as a whole."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            plain = _ESCAPED.sub(lambda found: json.loads(f'"{found[0]}"'), text)
            return "{}" if self.text(plain) != plain else text
        said = json.dumps(self._strings(value), ensure_ascii=False)  # written anew: of two equal keys the parser read only one
        if self.fence.check(said):
            self.found = True
            return "{}"
        return said

    def _strings(self, value: Any) -> Any:  # noqa: ANN401
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._strings(part) for part in value]
            case dict():
                return {self.text(key): self._strings(part) for key, part in value.items()}
        return value

    def call(self, call: Json) -> Json:
        """A call of a tool, or the older call of a function."""
        function = call.get("function", call)
        inner = {"name": self.text(str(function.get("name") or "")), "arguments": self.arguments(str(function.get("arguments") or ""))}
        if "function" not in call:
            return inner
        outer: Json = {"index": _place(call)} if "index" in call else {}
        return {**outer, "id": self.text(str(call.get("id") or "")), "type": "function", "function": inner}


def fenced_answer(body: Mapping[str, Any], fence: Fence, monitor: Monitor | None = None) -> Json:
    """A whole answer. With the action `refuse` a choice in which something is found is the refusal alone."""
    return {**_frame(body, fence), "choices": [_choice(choice, Clean(fence, monitor)) for choice in body.get("choices") or ()]}


def fenced_error(body: Any, fence: Fence) -> Json:  # noqa: ANN401
    """An error: its message fenced, for a server may quote what it could not do."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    error = error if isinstance(error, dict) else {"message": str(error)}
    message = fence.apply(str(error.get("message") or "the server gave no reason")).text
    return {"error": {"message": message, "type": str(error.get("type") or "upstream_error"), "param": None, "code": None}}


def fenced_models(body: Mapping[str, Any], fence: Fence) -> Json:
    """The list of models: what a client needs of each."""
    models = [{key: said for key in _MODEL if isinstance(said := model.get(key), str | int)} for model in body.get("data") or ()]
    return {"object": "list", "data": [_fenced(model, fence) for model in models]}


def _frame(body: Mapping[str, Any], fence: Fence) -> Json:
    frame = _fenced({key: body[key] for key in _KEPT if key in body and isinstance(body[key], str | int | float | None)}, fence)
    if isinstance(body.get("usage"), dict):
        frame["usage"] = _numbers(body["usage"], fence)
    return frame


def _fenced(value: Json, fence: Fence) -> Json:
    return {key: fence.apply(_joined(part)).text if isinstance(part, str) else part for key, part in value.items()}


def _numbers(value: Mapping[str, Any], fence: Fence) -> Json:
    """A server's own names for its counts are kept, if they are names."""
    named = {key: part for key, part in value.items() if key.isidentifier() and not fence.check(key)}
    inner = {key: _numbers(part, fence) if isinstance(part, dict) else part for key, part in named.items()}
    return {key: part for key, part in inner.items() if isinstance(part, int | float | dict | None)}


def _place(value: Mapping[str, Any]) -> int:
    return int(value.get("index") or 0)


def _choice(choice: Mapping[str, Any], clean: Clean) -> Json:
    out: Json = {"index": _place(choice), "finish_reason": _reason(choice), "logprobs": None}
    if "message" in choice:
        out["message"] = _message(choice["message"], clean)
    else:
        out["text"] = clean.text(str(choice.get("text") or ""))
    if clean.found and clean.fence.action == "refuse":
        refusal = clean.fence.refusal
        said = {"message": {"role": "assistant", "content": refusal}} if "message" in choice else {"text": refusal}
        return {**out, **said, "finish_reason": FILTERED}
    return out


def _message(message: Mapping[str, Any], clean: Clean) -> Json:
    out: Json = {"role": _role(message)}
    out |= {key: clean.parts(message[key]) for key in _TEXTS if key in message}
    if calls := message.get("tool_calls"):
        out["tool_calls"] = [clean.call(call) for call in calls]
    if call := message.get("function_call"):
        out["function_call"] = clean.call(call)
    return out


class AnswerStream:
    """An answer in events: each event that comes gives those that may go out."""

    def __init__(self, fence: Fence, monitor: Monitor | None = None) -> None:
        self._fence, self._monitor = fence, monitor
        self._choices: dict[int, _Choice] = {}
        self._last: Json = {}

    def feed(self, event: Mapping[str, Any]) -> Iterator[Json]:
        """The events that may go out for one that came."""
        self._last = frame = _frame(event, self._fence)
        choices = event.get("choices") or ()
        if not choices:
            yield {**frame, "choices": []}
        for choice in choices:
            index = _place(choice)
            state = self._choices.setdefault(index, _Choice(index, self._fence, self._monitor))
            yield from ({**frame, "choices": [out]} for out in state.feed(choice))

    def close(self) -> Iterator[Json]:
        """What was held back, where the server stopped without an end."""
        frame = {key: value for key, value in self._last.items() if key != "usage"}
        for state in self._choices.values():
            yield from ({**frame, "choices": [out]} for out in state.end(None))

    def refused(self, expected: int) -> bool:
        """Whether all the expected choices are refused: nothing more is wanted of the server."""
        return len(self._choices) >= expected and all(state.refused for state in self._choices.values())


class _Choice:
    """One choice of a stream."""

    def __init__(self, index: int, fence: Fence, monitor: Monitor | None) -> None:
        self.refused = False
        self._index, self._fence, self._monitor = index, fence, monitor
        self._chat = True
        self._over = False
        self._filters: dict[str, StreamFilter] = {}
        self._halves: dict[str, str] = {}
        """The first half of a character whose second has not come."""
        self._calls: dict[int, Json] = {}
        self._old_call: Json = {}

    def feed(self, choice: Mapping[str, Any]) -> Iterator[Json]:
        if self._over:
            return
        self._chat = "text" not in choice
        delta = choice.get("delta") or {} if self._chat else {"text": choice["text"]}
        out: Json = {"role": _role(delta)} if delta.get("role") else {}
        for key in (*_TEXTS, "text"):
            if isinstance(delta.get(key), str) and (said := self._text(key, delta[key])):
                out[key] = said
        self._collect(delta)
        if out:
            yield self._say(out)
        if self.refused:
            yield from self.end(FILTERED)
        elif (reason := _reason(choice)) is not None:
            yield from self.end(reason)

    def end(self, reason: str | None) -> Iterator[Json]:
        """What was held back, the calls of tools, and the end."""
        if self._over:
            return
        self._over = True
        rest = {key: said for key, one in self._filters.items() if not self.refused and (said := self._flush(one))}
        if rest:
            yield self._say(rest)
        calls = {} if self.refused else self._called()
        if calls:
            yield self._say(calls)
        if self._monitor is not None:
            for one in self._filters.values():
                self._monitor.text(len(one.hits), refused=one.refused)
        if reason is not None or self.refused:
            yield self._say({}, FILTERED if self.refused else reason)

    def _text(self, key: str, text: str) -> str:
        if key not in self._filters:
            self._filters[key] = StreamFilter(self._fence, seen=None if self._monitor is None else self._monitor.hit)
        one = self._filters[key]
        text = self._halves.pop(key, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[key], text = text[-1], text[:-1]
        said = one.feed(_joined(text))
        self.refused = self.refused or one.refused
        if self._monitor is not None:
            self._monitor.held(one.holding)
        return said

    def _flush(self, one: StreamFilter) -> str:
        said = one.flush()
        self.refused = self.refused or one.refused
        return said

    def _collect(self, delta: Mapping[str, Any]) -> None:
        for call in delta.get("tool_calls") or ():
            _add(self._calls.setdefault(_place(call), {"function": {}}), call)
        if call := delta.get("function_call"):
            _add(self._old_call, call)

    def _called(self) -> Json:
        """The calls of tools, whole; with the action `refuse` the refusal instead, if something is found in them."""
        clean = Clean(self._fence, self._monitor)
        said: Json = {}
        if self._calls:
            said["tool_calls"] = [clean.call({**call, "index": at}) for at, call in sorted(self._calls.items())]
        if self._old_call:
            said["function_call"] = clean.call(self._old_call)
        if clean.found and self._fence.action == "refuse":
            self.refused = True
            return {"content": self._fence.refusal}
        return said

    def _say(self, said: Json, reason: str | None = None) -> Json:
        body: Json = {"delta": said} if self._chat else {"text": said.get("text", "")}
        return {"index": self._index, **body, "finish_reason": reason, "logprobs": None}


def _add(whole: Json, piece: Mapping[str, Any]) -> None:
    """One more piece of a call; names and arguments come in pieces, ids and types whole."""
    for key, value in piece.items():
        if isinstance(value, dict):
            _add(whole.setdefault(key, {}), value)
        elif isinstance(value, str):
            whole[key] = whole.get(key, "") + value if key in {"arguments", "name"} else value
