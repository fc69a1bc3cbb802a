"""The openai package: chat completions, and what stands beside them."""

import asyncio
import json

import openai
import pytest
from conftest import GATEWAY
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Hello there"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class City(BaseModel):
    name: str
    population: int


def test_a_plain_answer(client, model):
    answer = client.chat.completions.create(model=model, messages=HELLO)
    assert "Hello there" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_stream(client, model):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True, stream_options=options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Hello there" in text
    assert chunks[-1].usage.total_tokens > 0


def test_the_stream_helper(client, model):
    with client.chat.completions.stream(model=model, messages=HELLO) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert "Hello there" in answer.choices[0].message.content


def test_async_answers_and_streams(model):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key="any") as client:
            answers = await asyncio.gather(
                *(client.chat.completions.create(model=model, messages=HELLO) for _ in range(8))
            )
            assert all("Hello there" in answer.choices[0].message.content for answer in answers)
            stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
            assert "Hello there" in text

    asyncio.run(run())


def test_a_tool_loop(client, model):
    messages = list(HELLO)
    answer = client.chat.completions.create(model=f"{model}-tools", messages=messages, tools=[WEATHER])
    (call,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    answer = client.chat.completions.create(model=f"{model}-tools", messages=messages, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "stop"


def test_a_streamed_tool_call(client, model):
    with client.chat.completions.stream(model=f"{model}-tools", messages=HELLO, tools=[WEATHER]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [json.loads(event.arguments) for event in done] == [{"city": "Paris"}]


def test_structured_outputs(client, model):
    answer = client.chat.completions.parse(model=f"{model}-json", messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Paris", population=2_100_000)


def test_raw_responses_show_the_headers(client, model):
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    assert raw.headers["x-router-pool"] == raw.headers["x-litellm-model-group"] == model
    assert raw.headers["x-router-attempts"] == "1"
    assert raw.request_id.startswith("req_")
    assert "Hello there" in raw.parse().choices[0].message.content
    with client.chat.completions.with_streaming_response.create(model=model, messages=HELLO, stream=True) as raw:
        assert raw.headers["content-type"].startswith("text/event-stream")
        assert list(raw.iter_lines())[-2] == "data: [DONE]"


def test_errors_raise_the_exceptions_that_fit(client):
    def ask(model):
        return client.chat.completions.create(model=model, messages=HELLO)

    with pytest.raises(openai.NotFoundError) as error:
        ask("unknown")
    assert error.value.code == "model_not_found"
    with pytest.raises(openai.RateLimitError) as error:
        ask("limited")
    assert error.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.InternalServerError):
        ask("broken")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt", messages="none")


def test_a_cut_stream_raises(client):
    with pytest.raises(openai.APIError) as error:
        list(client.chat.completions.create(model="cut", messages=HELLO, stream=True))
    assert error.value.code == "stream_interrupted"


def test_legacy_completions(client, model):
    answer = client.completions.create(model=model, prompt="Hello there")
    assert "Hello there" in answer.choices[0].text
    pieces = client.completions.create(model=model, prompt="Hello there", stream=True)
    assert "Hello there" in "".join(piece.choices[0].text for piece in pieces)


def test_embeddings(client):
    answer = client.embeddings.create(model="vectors", input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 1


def test_models(client):
    assert "gpt" in [model.id for model in client.models.list()]
    assert client.models.retrieve("claude").id == "claude"
