"""Whether answers are what OpenAI's own description says.

The types of the openai package are generated from that description. Here they check strictly: every field has to be there with its own
type and one of its values, and a field that they do not know has to be one that we add on purpose.
"""

import json
import urllib.error
import urllib.request

import pytest
from conftest import GATEWAY
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from test_openai import HELLO, WEATHER
from test_responses import WEATHER as RESPONSES_WEATHER

# What the provider calls the end of an answer, for those who want to know exactly.
OURS = {"native_finish_reason"}
# OpenAI sends it, and its description of answers leaves it out.
UNDESCRIBED = {"store"}


def post(path, body):
    request = urllib.request.Request(f"{GATEWAY}{path}", json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return response.read().decode()


def events(path, body):
    stream = post(path, {**body, "stream": True})
    data = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    return [event for event in data if event != "[DONE]"]


def check(kind, text):
    value = TypeAdapter(kind).validate_json(text, strict=True)
    unknown = set(unknown_fields(value)) - OURS - UNDESCRIBED
    assert not unknown, f"{unknown} in {text}"
    return value


def unknown_fields(value):
    if isinstance(value, BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            yield from unknown_fields(item)


ASKED = {
    "text": ("", {}),
    "a length": ("", {"max_tokens": 2}),
    "tools": ("-tools", {"tools": [WEATHER]}),
}


@pytest.mark.parametrize("asked", ASKED)
def test_chat_completions(model, asked):
    suffix, more = ASKED[asked]
    body = {"model": model + suffix, "messages": HELLO, **more}
    answer = check(ChatCompletion, post("/v1/chat/completions", body))
    expected = {"text": "stop", "a length": "length", "tools": "tool_calls"}[asked]
    assert answer.choices[0].finish_reason == expected
    for event in events("/v1/chat/completions", {**body, "stream_options": {"include_usage": True}}):
        check(ChatCompletionChunk, event)


def test_completions(model):
    body = {"model": model, "prompt": "Hello there"}
    check(Completion, post("/v1/completions", body))
    for event in events("/v1/completions", body):
        check(Completion, loosened(event))


def loosened(event):
    """A piece has no finish reason yet, which the type, made for whole answers, does not foresee. OpenAI sends null there, too."""
    piece = json.loads(event)
    for choice in piece["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    return json.dumps(piece)


RESPONSES_ASKED = {
    "text": ("", {"instructions": "Be brief.", "metadata": {"a": "b"}}),
    "a length": ("", {"max_output_tokens": 2}),
    "tools": ("-tools", {"tools": [RESPONSES_WEATHER], "tool_choice": "auto"}),
    "a schema": ("-json", {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}}),
}


@pytest.mark.parametrize("asked", RESPONSES_ASKED)
def test_responses(model, asked):
    suffix, more = RESPONSES_ASKED[asked]
    body = {"model": model + suffix, "input": "Hello there", **more}
    answer = check(Response, post("/v1/responses", body))
    assert answer.status == ("incomplete" if asked == "a length" else "completed")
    for event in events("/v1/responses", body):
        check(ResponseStreamEvent, event)


def test_embeddings():
    check(CreateEmbeddingResponse, post("/v1/embeddings", {"model": "vectors", "input": "one"}))


def test_models():
    with urllib.request.urlopen(f"{GATEWAY}/v1/models/gpt") as response:
        check(Model, response.read().decode())


@pytest.mark.parametrize("model, status", [("unknown", 404), ("limited", 429), ("broken", 502)])
def test_errors(model, status):
    for path, asked in [("chat/completions", {"messages": HELLO}), ("responses", {"input": "Hello"})]:
        with pytest.raises(urllib.error.HTTPError) as error:
            post(f"/v1/{path}", {"model": model, **asked})
        assert error.value.code == status
        body = json.loads(error.value.read())
        assert set(body) == {"error"} and {"message", "type", "param", "code"} <= set(body["error"])
