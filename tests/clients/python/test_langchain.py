"""LangChain's ChatOpenAI."""

import asyncio

import pytest
from conftest import GATEWAY, MODELS
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from test_openai import City


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def make(model, responses):
    return ChatOpenAI(model=model, base_url=f"{GATEWAY}/v1", api_key="any", use_responses_api=responses)


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def chat(request):
    return lambda model: make(model, request.param)


def test_an_answer_and_a_stream(chat, model):
    answer = chat(model).invoke("Hello there")
    assert "Hello there" in answer.text
    assert answer.usage_metadata["total_tokens"] > 0
    assert "Hello there" in "".join(chunk.text for chunk in chat(model).stream("Hello there"))


def test_async_answers():
    # LangChain keeps its connections for ever, and they belong to the loop that opened them: so there is one loop.
    async def run():
        for model in MODELS:
            for responses in [False, True]:
                answer = await make(model, responses).ainvoke("Hello there")
                assert "Hello there" in answer.text

    asyncio.run(run())


def test_a_tool_loop(chat, model):
    bound = chat(f"{model}-tools").bind_tools([weather])
    question = HumanMessage("Hello")
    answer = bound.invoke([question])
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert bound.invoke([question, answer, result]).text


def test_structured_output(chat, model):
    answer = chat(f"{model}-json").with_structured_output(City, method="json_schema").invoke("Hello")
    assert answer == City(name="Paris", population=2_100_000)
