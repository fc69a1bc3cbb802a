"""The anthropic package: messages."""

import asyncio

import anthropic
import pytest
from conftest import GATEWAY

HELLO = [{"role": "user", "content": "Hello there"}]
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def ask(**more):
    return {"max_tokens": 100, "messages": HELLO, **more}


def test_a_plain_answer(claude, model):
    message = claude.messages.create(model=model, system="Be kind.", **ask())
    assert "Hello there" in message.content[0].text
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0


def test_the_stream_helper(claude, model):
    with claude.messages.stream(model=model, **ask()) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == message.content[0].text and "Hello there" in text
    assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0


def test_raw_events(claude, model):
    kinds = [event.type for event in claude.messages.create(model=model, stream=True, **ask())]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_async_answers_and_streams(model):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=GATEWAY, api_key="any") as claude:
            message = await claude.messages.create(model=model, **ask())
            assert "Hello there" in message.content[0].text
            async with claude.messages.stream(model=model, **ask()) as stream:
                assert "Hello there" in await stream.get_final_text()

    asyncio.run(run())


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop(claude, model, streamed):
    asked = {"model": f"{model}-tools", "max_tokens": 100, "tools": [WEATHER]}

    def answer(messages):
        if not streamed:
            return claude.messages.create(messages=messages, **asked)
        with claude.messages.stream(messages=messages, **asked) as stream:
            return stream.get_final_message()

    message = answer(HELLO)
    (call,) = message.content
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Paris"})
    assert message.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turns = [{"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    assert answer(HELLO + turns).stop_reason == "end_turn"


def test_tokens_are_counted(claude, model):
    assert 0 < claude.messages.count_tokens(model=model, messages=HELLO).input_tokens < 50


def test_raw_responses_show_the_headers(claude, model):
    raw = claude.messages.with_raw_response.create(model=model, **ask())
    assert raw.headers["x-router-pool"] == model
    assert raw.parse()._request_id.startswith("req_")


def test_errors_raise_the_exceptions_that_fit(claude):
    with pytest.raises(anthropic.NotFoundError) as error:
        claude.messages.create(model="unknown", **ask())
    assert error.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model="limited", **ask())
    with pytest.raises(anthropic.InternalServerError):
        claude.messages.create(model="broken", **ask())
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model="gpt", max_tokens=1, messages=[{"role": "nobody", "content": ""}])


def test_a_cut_stream_raises(claude):
    with pytest.raises(anthropic.APIError):
        list(claude.messages.create(model="cut", stream=True, **ask()))
