"""The openai package: responses."""

import asyncio
import json

import openai
import pytest
from conftest import GATEWAY
from test_openai import City

WEATHER = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def test_a_plain_answer(client, model):
    answer = client.responses.create(model=model, input="Hello there", instructions="Be brief.")
    assert "Hello there" in answer.output_text
    assert (answer.status, answer.store, answer.instructions) == ("completed", False, "Be brief.")
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


def test_a_stream_in_its_order(client, model):
    events = list(client.responses.create(model=model, input="Hello there", stream=True))
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert deltas > 1
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text and "Hello there" in text
    assert events[-1].response.usage.total_tokens > 0


def test_the_stream_helper(client, model):
    with client.responses.stream(model=model, input="Hello there") as stream:
        for _ in stream:
            pass
        assert "Hello there" in stream.get_final_response().output_text


def test_a_tool_loop(client, model):
    conversation = [{"role": "user", "content": "Hello there"}]
    answer = client.responses.create(model=f"{model}-tools", input=conversation, tools=[WEATHER])
    (call,) = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"city": "Paris"})
    conversation += answer.output
    conversation.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    answer = client.responses.create(model=f"{model}-tools", input=conversation, tools=[WEATHER])
    assert answer.output[0].type == "message"


def test_a_streamed_tool_call(client, model):
    events = list(client.responses.create(model=f"{model}-tools", input="Hello", tools=[WEATHER], stream=True))
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [json.loads(event.arguments) for event in done] == [{"city": "Paris"}]
    assert events[-1].response.output[0].name == "weather"


def test_structured_outputs(client, model):
    answer = client.responses.parse(model=f"{model}-json", input="Hello", text_format=City)
    assert answer.output_parsed == City(name="Paris", population=2_100_000)


def test_async_answers(model):
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key="any") as client:
            answer = await client.responses.create(model=model, input="Hello there")
            assert "Hello there" in answer.output_text

    asyncio.run(run())


def test_what_needs_a_memory_is_refused(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.responses.create(model="gpt", input="Hello", previous_response_id="resp_1")
    assert error.value.param == "previous_response_id"


def test_a_cut_stream_raises(client):
    with pytest.raises(openai.APIError):
        list(client.responses.create(model="cut", input="Hello", stream=True))
