// The Vercel AI SDK, by each of its ways to an OpenAI-compatible service.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = `${process.env.GATEWAY_URL}/v1`;
const openai = createOpenAI({ baseURL, apiKey: "any" });
const compatible = createOpenAICompatible({ name: "router", baseURL, apiKey: "any", supportsStructuredOutputs: true });
const ways = { "openai-compatible": compatible, "openai, chat": openai.chat, "openai, responses": openai.responses };

for (const [way, provider] of Object.entries(ways)) {
  for (const model of ["gpt", "claude"]) {
    test(`${way}, ${model}: a plain answer`, async () => {
      const { text, usage } = await generateText({ model: provider(model), prompt: "Hello there" });
      assert.match(text, /Hello there/);
      assert.ok(usage.totalTokens > 0);
    });

    test(`${way}, ${model}: a stream`, async () => {
      const answer = streamText({ model: provider(model), prompt: "Hello there" });
      let text = "";
      for await (const piece of answer.textStream) text += piece;
      assert.match(text, /Hello there/);
      assert.equal(await answer.finishReason, "stop");
    });

    test(`${way}, ${model}: a tool loop`, async () => {
      const asked = [];
      const weather = tool({
        description: "The weather in a city",
        inputSchema: z.object({ city: z.string() }),
        execute: async ({ city }) => {
          asked.push(city);
          return "sunny";
        },
      });
      const { steps } = await generateText({
        model: provider(`${model}-tools`),
        prompt: "Hello",
        tools: { weather },
        stopWhen: stepCountIs(3),
      });
      assert.deepEqual(asked, ["Paris"]);
      assert.equal(steps.length, 2);
    });

    test(`${way}, ${model}: structured output`, async () => {
      const schema = z.object({ name: z.string(), population: z.number() });
      const { output } = await generateText({
        model: provider(`${model}-json`),
        prompt: "Hello",
        output: Output.object({ schema }),
      });
      assert.deepEqual(output, { name: "Paris", population: 2100000 });
    });
  }

  test(`${way}: a cut stream is an error`, async () => {
    const errors = [];
    const answer = streamText({ model: provider("cut"), prompt: "Hello", onError: ({ error }) => errors.push(error) });
    for await (const _ of answer.fullStream);
    assert.ok(errors.length > 0);
  });
}
