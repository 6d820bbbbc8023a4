"""The proxy between the `openai` client and a model server: the memorised secret does not pass, whole or in events, by no field."""

from __future__ import annotations

import json

import httpx
import openai
import pytest
from starlette.responses import JSONResponse, Response

from secagg.adapters.openai_proxy import LARGEST, Proxy
from secagg.errors import ConfigError
from secagg.filters.fence import Fence, Phrases, Shape
from secagg.filters.fence.monitor import Monitor
from tests.network.openai_server import ModelServer, event, listening
from tests.unit.fence.parrot import SECRET

pytestmark = pytest.mark.network
RULES = (Phrases("projects", (SECRET,)), Shape("mobile"))
FENCES = {action: Fence(*RULES, action=action, refusal="No.") for action in ("redact", "refuse")}
ASK = [{"role": "user", "content": "the code name is"}]


@pytest.fixture(scope="module")
def server():
    return ModelServer()


@pytest.fixture(scope="module")
def places(server):
    """The model server's address and those of a proxy that redacts and one that refuses."""
    with listening(server.app()) as direct:
        proxies = {action: Proxy(fence, f"{direct}/v1", monitor=Monitor(fence)).app() for action, fence in FENCES.items()}
        with listening(proxies["redact"]) as redact, listening(proxies["refuse"]) as refuse:
            yield {"direct": direct, "redact": redact, "refuse": refuse}


@pytest.fixture
def client(places, server):
    server.canned = None
    clients = {name: openai.OpenAI(base_url=f"{address}/v1", api_key="the-key", max_retries=0) for name, address in places.items()}
    yield clients
    for one in clients.values():
        one.close()


def chat(client, **how):
    return client.chat.completions.create(model="parrot", messages=ASK, **how)


def text_of(stream) -> tuple[str, str | None]:
    pieces = [(chunk.choices[0].delta.content or "", chunk.choices[0].finish_reason) for chunk in stream if chunk.choices]
    return "".join(text for text, _ in pieces), pieces[-1][1]


def test_without_the_proxy_the_model_says_it(client):
    assert SECRET in chat(client["direct"]).choices[0].message.content
    assert SECRET in text_of(chat(client["direct"], stream=True))[0]


def test_a_whole_answer_is_fenced(client, server):
    answer = chat(client["redact"], n=2, temperature=0.5)
    assert [choice.message.content.count("████") for choice in answer.choices] == [1, 1]
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop"]
    assert SECRET not in answer.model_dump_json()
    assert answer.usage.total_tokens == 3
    assert server.asked[-1]["temperature"] == 0.5
    assert server.keys[-1] == "Bearer the-key"


def test_a_stream_is_fenced(client):
    said, reason = text_of(chat(client["redact"], stream=True))
    assert FENCES["redact"].check(said) == ()
    assert said.strip().startswith("████")
    assert said.rstrip().endswith("closed")
    assert reason == "stop"


def test_text_completions_are_fenced(client):
    ask = {"model": "parrot", "prompt": "the code name is", "max_tokens": 30}
    assert FENCES["redact"].check(client["redact"].completions.create(**ask).choices[0].text) == ()
    pieces = [chunk.choices[0].text for chunk in client["redact"].completions.create(**ask, stream=True)]
    assert FENCES["redact"].check("".join(pieces)) == ()
    assert "████" in "".join(pieces)


def test_a_refusal_takes_the_place_of_the_answer(client):
    answer = chat(client["refuse"]).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("No.", "content_filter")
    said, reason = text_of(chat(client["refuse"], stream=True))
    assert said.endswith("No.")
    assert reason == "content_filter"
    assert FENCES["refuse"].check(said) == ()


def delta(**fields):
    return event({"index": 0, "finish_reason": None, "delta": fields})


def halves(letter):
    """A mathematical letter as two halves, each in an event of its own."""
    point = 0x1D41A + ord(letter) - 97 - 0x10000
    return [chr(0xD800 + (point >> 10)), chr(0xDC00 + (point & 0x3FF))] if letter != " " else [letter]


END = event({"index": 0, "finish_reason": "stop", "delta": {}})
SPLIT = ["pro", "ject ", "fal", "con"]
CALLS = [{"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "say"}}]}]
CALLS += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ('{"a": "\\u0070roject', " fal\\u00", '63on"}')]
HIDDEN = {
    "content": [{"content": piece} for piece in SPLIT],
    "reasoning": [{"reasoning_content": piece, "content": "fine"} for piece in SPLIT],
    "refusal": [{"refusal": piece} for piece in SPLIT],
    "escaped arguments": CALLS,
    "old arguments": [{"function_call": {"name": "f", "arguments": piece}} for piece in ('{"a": ["project', '", "falcon"]}')],
    "halves of letters": [{"content": half} for c in SECRET for half in halves(c)],
    "unknown field": [{"content": "fine", "thoughts": "project falcon"}],
    "number": [{"function_call": {"name": "f", "arguments": '{"phone": 13800138000}'}}],
}


@pytest.mark.parametrize("pieces", HIDDEN.values(), ids=HIDDEN)
def test_no_field_of_a_stream_carries_it(client, server, pieces):
    server.canned = [*(delta(**piece) for piece in pieces), END, "data: [DONE]\n\n"]
    seen: dict[str, str] = {}
    for chunk in chat(client["redact"], stream=True):
        for key, value in walk(chunk.model_dump()["choices"][0]["delta"]):
            seen[key] = seen.get(key, "") + value
    assert all(FENCES["redact"].check(readable(text)) == () for text in seen.values()), seen


@pytest.mark.parametrize("pieces", HIDDEN.values(), ids=HIDDEN)
def test_no_field_of_a_whole_answer_carries_it(client, server, pieces):
    message: dict = {"role": "assistant", "content": None}
    for piece in pieces:
        merge(message, piece)
    if "tool_calls" in message:
        message["tool_calls"] = [message["tool_calls"]]
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": message}]}
    server.canned = Response(json.dumps(body), media_type="application/json")
    answer = chat(client["redact"]).model_dump()
    assert all(FENCES["redact"].check(readable(text)) == () for _, text in walk(answer["choices"][0])), answer
    assert chat(client["refuse"]).choices[0].finish_reason in ({None, "stop"} if "thoughts" in message else {"content_filter"})


def walk(value, key=""):
    if isinstance(value, str):
        yield key, value
    for name, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from walk(part, f"{key}/{name}")


def merge(whole, piece):
    for key, value in piece.items():
        if isinstance(value, list):
            value = value[0]  # noqa: PLW2901
        if isinstance(value, dict):
            merge(whole.setdefault(key, {}), value)
        elif isinstance(value, str):
            whole[key] = (whole.get(key) or "") + value
        else:
            whole[key] = value


def readable(text: str) -> str:
    """As a program reads arguments, and a browser halves of characters."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text


HOSTILE = {
    "two equal keys": '{"index": 0, "delta": {"content": "project falcon", "content": "fine", "content": "project falcon"}}',
    "equal keys in arguments": json.dumps(
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": "project falcon", "a": "b"}'}}]}}
    ),
    "the id of a call": '{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "project falcon:0", "function": {"name": "f"}}]}}',
    "the type of a call": '{"index": 0, "delta": {"tool_calls": [{"index": 0, "type": "project falcon", "function": {"name": "f"}}]}}',
    "a custom tool": '{"index": 0, "delta": {"tool_calls": [{"index": 0, "type": "custom", "custom": {"input": "project falcon"}}]}}',
    "log probabilities": '{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "project falcon"}]}}',
    "the reason": '{"index": 0, "delta": {"content": "a"}, "finish_reason": "project falcon"}',
    "the role": '{"index": 0, "delta": {"role": "project falcon", "content": "a"}}',
    "content in parts": '{"index": 0, "delta": {"content": [{"type": "text", "text": "project falcon"}]}}',
    "a message in a stream": '{"index": 0, "delta": {"content": "a"}, "message": {"content": "project falcon"}}',
    "a later choice": '{"index": 7, "delta": {"content": "project falcon"}}',
    "audio and annotations": '{"index": 0, "delta": {"audio": {"transcript": "project falcon"}, "annotations": [{"t": "project falcon"}]}}',
}
FRAMES = {
    "id": '"id": "project falcon"',
    "model": '"model": "project falcon"',
    "fingerprint": '"system_fingerprint": "project falcon"',
    "usage": '"usage": {"project falcon": 1, "project_falcon": 2, "total_tokens": 3, "note": "project falcon"}',
    "unknown": '"thoughts": "project falcon"',
}


def raw(client, *, stream):
    """All that came, as bytes on the wire."""
    ask = {"model": "parrot", "messages": ASK, "stream": stream}
    return httpx.post(f"{client.base_url}chat/completions", json=ask, timeout=20).text


def carried(text):
    return FENCES["redact"].check(text.replace("\\", ""))


@pytest.mark.parametrize("choice", HOSTILE.values(), ids=HOSTILE)
def test_no_event_of_a_hostile_server_carries_it(client, server, choice):
    server.canned = [f'data: {{"object": "chat.completion.chunk", "choices": [{choice}]}}\n\n', END, "data: [DONE]\n\n"]
    assert SECRET in raw(client["direct"], stream=True)
    assert carried(raw(client["redact"], stream=True)) == ()
    whole = choice.replace('"message"', '"other"').replace('"delta"', '"message"')
    server.canned = Response(f'{{"object": "chat.completion", "choices": [{whole}]}}', media_type="application/json")
    assert carried(raw(client["redact"], stream=False)) == ()
    assert carried(raw(client["refuse"], stream=False)) == ()


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_no_frame_of_a_hostile_server_carries_it(client, server, frame):
    body = f'{{{frame}, "object": "x", "choices": [{{"index": 0, "delta": {{"content": "a"}}, "message": {{"content": "a"}}}}]}}'
    server.canned = [f"event: project falcon\nid: project falcon\n: project falcon\ndata: {body}\n\n", "data: [DONE]\n\n"]
    assert carried(raw(client["redact"], stream=True)) == ()
    server.canned = Response(body, media_type="application/json")
    answer = raw(client["redact"], stream=False)
    assert carried(answer) == ()
    assert json.loads(answer)["choices"][0]["message"] == {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_stream_cut_inside_characters_and_lines_is_read_as_it_is(client, server, size):
    pieces = [{"content": piece} for piece in ("在三", "级", "片 project f", "alcon")]
    events = [f"data: {json.dumps({'choices': [{'index': 0, 'delta': piece}]}, ensure_ascii=False)}\n\n" for piece in pieces]
    sent = "".join([*events, END]).encode()
    server.canned = [sent[at : at + size] for at in range(0, len(sent), size)] + [b"data: [DONE]\n\n"]
    assert text_of(chat(client["redact"], stream=True)) == ("在三级片 ████", "stop")


@pytest.mark.parametrize(
    "events",
    [
        ["data: {\n\n"],
        ["data: [1]\n\n"],
        ['data: {"choices": 3}\n\n'],
        ['data: {"choices": [{"index": "project falcon", "delta": {}}]}\n\n'],
        ['data: {"choices": [], "usage": {"n": NaN}}\n\n'],
        ["data: " + "[" * 100_000 + "\n\n"],
        [b"data: \xff\xfe\n\n"],
        ["data: " + "x" * (1 << 20)] * 20,
    ],
    ids=["half an object", "a list", "no choices", "a place in words", "no number", "deep", "no text", "a line without end"],
)
def test_events_that_are_none_end_the_stream_with_an_error(client, server, events):
    server.canned = [delta(content="the project fal"), *events]
    with pytest.raises(openai.APIError, match="broke off"):
        list(chat(client["redact"], stream=True))


def test_an_error_in_a_stream_is_told_and_fenced(client, server):
    server.canned = [
        delta(content="the "),
        'data: {"error": {"message": "no project falcon here", "code": 400}}\n\n',
        delta(content="rest"),
    ]
    with pytest.raises(openai.APIError, match="no ████ here"):
        list(chat(client["redact"], stream=True))


def test_an_answer_without_end_is_not_read_to_its_end(client, server):
    server.canned = Response(b" " * (LARGEST + 1), media_type="application/json")
    with pytest.raises(openai.InternalServerError, match="more than"):
        chat(client["redact"])


def test_a_question_with_two_equal_keys_is_passed_on_with_one(client, server):
    content = b'{"model": "parrot", "n": 1, "logprobs": true, "logprobs": false, "messages": [{"role": "user", "content": "a"}]}'
    assert httpx.post(f"{client['redact'].base_url}chat/completions", content=content, timeout=20).status_code == 200
    assert server.asked[-1]["logprobs"] is False
    content = content.replace(b'"logprobs": false', b'"logprobs": 1')
    assert httpx.post(f"{client['redact'].base_url}chat/completions", content=content, timeout=20).status_code == 400


def test_every_choice_of_many_is_fenced_by_itself(client, server):
    server.canned = [
        event({"index": at, "finish_reason": None, "delta": {"content": piece}}) for piece in ("project ", "fal", "con") for at in range(3)
    ]
    said: dict[int, str] = {}
    for chunk in chat(client["redact"], stream=True, n=3):
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
    assert said == {0: "████", 1: "████", 2: "████"}


def test_arguments_without_it_pass_as_they_mean(client, server):
    message = {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "\\u0070"}'}}],
    }
    server.canned = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": message}]}
    assert json.loads(chat(client["redact"]).choices[0].message.tool_calls[0].function.arguments) == {"a": "p"}


def test_what_is_held_back_is_looked_at_when_the_server_breaks_off(client, server):
    server.canned = [delta(content="the project fal")]
    assert text_of(chat(client["redact"], stream=True))[0] == "the project fal"
    server.canned = [delta(content="the project fal"), "data: {broken\n\n"]
    said: list[str | None] = []
    with pytest.raises(openai.APIError, match="broke off"):
        said.extend(chunk.choices[0].delta.content for chunk in chat(client["redact"], stream=True))
    server.canned = [delta(content="13800138000")]
    assert text_of(chat(client["redact"], stream=True))[0] == "████"


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"choices": [3]}', b'{"choices": 3}'])
def test_an_answer_that_is_none_is_not_passed_on(client, server, body):
    server.canned = Response(body, media_type="application/json")
    with pytest.raises(openai.InternalServerError):
        chat(client["redact"])


def test_errors_of_the_server_are_fenced_and_keep_their_status(client, server):
    server.canned = JSONResponse({"error": {"message": "cannot say project falcon", "type": "bad"}}, 422)
    with pytest.raises(openai.UnprocessableEntityError, match="cannot say ████"):
        chat(client["redact"])
    with pytest.raises(openai.UnprocessableEntityError):
        chat(client["redact"], stream=True)
    server.canned = Response(b"<html>", 500)
    with pytest.raises(openai.InternalServerError, match="no reason"):
        chat(client["redact"])


@pytest.mark.parametrize("how", [{"logprobs": True}, {"top_logprobs": 3}, {"extra_body": {"prompt_logprobs": 1}}])
def test_what_would_tell_what_is_held_back_is_refused(client, how):
    with pytest.raises(openai.BadRequestError, match="would tell"):
        chat(client["redact"], **how)


def test_only_what_is_known_is_let_through(client, places):
    assert [model.id for model in client["redact"].models.list()] == ["parrot"]
    with pytest.raises(openai.NotFoundError):
        client["redact"].embeddings.create(model="parrot", input="a")
    with pytest.raises(openai.NotFoundError):
        client["redact"].responses.create(model="parrot", input="a")
    assert httpx.post(f"{places['redact']}/v1/completions", content=b"x" * (LARGEST + 1)).status_code == 413
    assert httpx.post(f"{places['redact']}/v1/completions", content=b"[1]").status_code == 400


def test_counters_are_served_and_hold_no_text(client, places):
    chat(client["redact"])
    page = httpx.get(f"{places['redact']}/metrics")
    assert 'secagg_fence_hits_total{rule="projects"}' in page.text
    assert "falcon" not in page.text
    assert httpx.get(f"{places['redact']}/healthz").json() == {"status": "ok"}


def test_a_server_that_is_away_is_a_gateway_error():
    with listening(Proxy(FENCES["redact"], "http://127.0.0.1:9/v1").app()) as address:
        with (
            openai.OpenAI(base_url=f"{address}/v1", api_key="k", max_retries=0) as client,
            pytest.raises(openai.InternalServerError, match="reached"),
        ):
            chat(client)
        assert httpx.get(f"{address}/metrics").status_code == 404


def test_an_upstream_without_a_scheme_is_refused():
    with pytest.raises(ConfigError, match="give an address"):
        Proxy(FENCES["redact"], "localhost:8000")
