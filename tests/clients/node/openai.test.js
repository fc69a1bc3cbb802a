// The openai package.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: `${process.env.GATEWAY_URL}/v1`, apiKey: "any", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello there" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

for (const model of ["gpt", "claude"]) {
  test(`${model}: a plain answer`, async () => {
    const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
    assert.match(data.choices[0].message.content, /Hello there/);
    assert.equal(response.headers.get("x-router-pool"), model);
  });

  test(`${model}: a stream`, async () => {
    let text = "";
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    assert.match(text, /Hello there/);
  });

  test(`${model}: tools, run by the helper`, async () => {
    const asked = [];
    const runner = client.chat.completions.runTools({
      model: `${model}-tools`,
      messages,
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            description: "The weather in a city",
            parameters,
            parse: JSON.parse,
            function: ({ city }) => {
              asked.push(city);
              return "sunny";
            },
          },
        },
      ],
    });
    assert.ok(await runner.finalContent());
    assert.deepEqual(asked, ["Paris"]);
  });

  test(`${model}: structured outputs`, async () => {
    const City = z.object({ name: z.string(), population: z.number() });
    const answer = await client.chat.completions.parse({
      model: `${model}-json`,
      messages,
      response_format: zodResponseFormat(City, "city"),
    });
    assert.deepEqual(answer.choices[0].message.parsed, { name: "Paris", population: 2100000 });
  });

  test(`${model}: a response, whole and streamed`, async () => {
    const whole = await client.responses.create({ model, input: "Hello there" });
    assert.match(whole.output_text, /Hello there/);
    const stream = client.responses.stream({ model, input: "Hello there" });
    assert.match((await stream.finalResponse()).output_text, /Hello there/);
  });
}

test("errors raise the exceptions that fit", async () => {
  const ask = (model) => client.chat.completions.create({ model, messages });
  await assert.rejects(ask("unknown"), OpenAI.NotFoundError);
  await assert.rejects(ask("limited"), OpenAI.RateLimitError);
  await assert.rejects(ask("broken"), OpenAI.InternalServerError);
});

test("a cut stream raises", async () => {
  const read = async () => {
    const stream = await client.chat.completions.create({ model: "cut", messages, stream: true });
    for await (const _ of stream);
  };
  await assert.rejects(read(), OpenAI.APIError);
});
