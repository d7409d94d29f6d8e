// OpenAI's client for Node against a running server: BASE_URL (default http://localhost:8000/v1) and API_KEY. Fails with a non-zero exit code.
// The expected answers are those of models/tiny-r1; for another model only the form is checked.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const baseURL = process.env.BASE_URL ?? "http://localhost:8000/v1";
const client = new OpenAI({ baseURL, apiKey: process.env.API_KEY ?? "none", maxRetries: 0 });
const model = (await client.models.list()).data[0].id;
const isTiny = model === "tiny-r1";
const sum = [{ role: "user", content: "What is 58 + 27?" }];

test("models: the list and one of it", async () => {
  const { data } = await client.models.list();
  assert.equal(data[0].object, "model");
  assert.equal((await client.models.retrieve(model)).id, model);
});

test("chat: content, thought, finish reason, usage", async () => {
  const { choices: [choice], usage } = await client.chat.completions.create({ model, messages: sum, temperature: 0 });
  assert.equal(choice.finish_reason, "stop");
  assert.equal(choice.message.role, "assistant");
  assert.equal(choice.message.reasoning, choice.message.reasoning_content);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  if (isTiny) {
    assert.match(choice.message.content, /85/);
    assert.match(choice.message.reasoning, /carry/);
  }
});

test("chat: a stream adds up to the whole answer and ends with its usage", async () => {
  const whole = await client.chat.completions.create({ model, messages: sum, temperature: 0 });
  const stream = await client.chat.completions.create({ model, messages: sum, temperature: 0, stream: true, stream_options: { include_usage: true } });
  let [text, thought, finish, usage] = ["", "", null, null];
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    thought += chunk.choices[0]?.delta.reasoning ?? "";
    finish ??= chunk.choices[0]?.finish_reason ?? null;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(thought, whole.choices[0].message.reasoning ?? "");
  assert.equal(finish, "stop");
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

const tools = [{
  type: "function",
  function: {
    name: "get_weather",
    description: "Current weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
  },
}];

test("tools: a required call, its arguments by the schema, and the answer after its result", async () => {
  const messages = [{ role: "user", content: "What is the weather in Paris?" }];
  const asked = await client.chat.completions.create({ model, messages, tools, tool_choice: "required", temperature: 0 });
  const call = asked.choices[0].message.tool_calls[0];
  assert.equal(asked.choices[0].finish_reason, "tool_calls");
  assert.equal(call.function.name, "get_weather");
  assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  messages.push(asked.choices[0].message, { role: "tool", tool_call_id: call.id, content: "sunny, 21 degrees" });
  const told = await client.chat.completions.create({ model, messages, tools, temperature: 0, max_tokens: 200 });
  assert.equal(told.choices[0].message.role, "assistant");
  if (isTiny)
    assert.ok(told.choices[0].message.content.length > 0);
});

test("tools: the client's own runner puts a streamed call together", async () => {
  const stream = client.chat.completions.stream({ model, messages: [{ role: "user", content: "What is the weather in Paris?" }], tools, tool_choice: "required", temperature: 0 });
  const { choices: [choice] } = await stream.finalChatCompletion();
  assert.equal(choice.message.tool_calls[0].function.name, "get_weather");
  JSON.parse(choice.message.tool_calls[0].function.arguments);
});

test("structured output: the answer keeps to a JSON schema", async () => {
  const schema = { type: "object", properties: { sum: { type: "integer" }, even: { type: "boolean" } }, required: ["sum", "even"], additionalProperties: false };
  const { choices: [choice] } = await client.chat.completions.create({
    model, messages: sum, temperature: 0, max_tokens: 400, response_format: { type: "json_schema", json_schema: { name: "sum", strict: true, schema } },
  });
  const value = JSON.parse(choice.message.content);
  assert.deepEqual(Object.keys(value).sort(), ["even", "sum"]);
  assert.ok(Number.isInteger(value.sum) && typeof value.even === "boolean");
});

test("completions: a text is continued, whole and as a stream", async () => {
  const request = { model, prompt: "Once upon a time", max_tokens: 16, temperature: 0 };
  const whole = await client.completions.create(request);
  assert.equal(whole.choices[0].finish_reason, "length");
  let text = "";
  for await (const chunk of await client.completions.create({ ...request, stream: true }))
    text += chunk.choices[0]?.text ?? "";
  assert.equal(text, whole.choices[0].text);
});

test("errors: the client throws its own classes, with field and code", async () => {
  await assert.rejects(client.chat.completions.create({ model: "none-such", messages: sum }), (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found" && error.param === "model");
  await assert.rejects(client.chat.completions.create({ model, messages: sum, temperature: 3 }), (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature" && error.type === "invalid_request_error");
});
