"""Where the gateway is, and the clients that talk to it."""

import os

import anthropic
import openai
import pytest

GATEWAY = os.environ["GATEWAY_URL"]

# One model behind each wire format.
MODELS = ["gpt", "claude"]


@pytest.fixture
def client():
    return openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key="any", max_retries=0)


@pytest.fixture
def claude():
    return anthropic.Anthropic(base_url=GATEWAY, api_key="any", max_retries=0)


@pytest.fixture(params=MODELS)
def model(request):
    return request.param
