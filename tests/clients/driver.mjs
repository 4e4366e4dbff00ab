// driver.mjs - does with the SDKs what test_sdks.py asks for.
//
// A command is a line of JSON on stdin: {"id", "sdk", "url", "what", ...}, or {"abort": ID}. The answer
// is a line on stdout: {"id", "value"} or {"id", "error"}, with the SDK's tries: when (ms), the status and
// the Retry-After of the answer.
// {"id", "began": true} comes with the first piece of a stream.
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { generateText, streamText, tool } from 'ai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createAnthropic } from '@ai-sdk/anthropic';
import { z } from 'zod';

const running = new Map(); // id -> AbortController
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

/** What all SDKs are told: a fetch that notes each try, a signal, headers, how often to try again. */
function options(c, tries) {
  const controller = new AbortController();
  running.set(c.id, controller);
  const noting = async (input, init) => {
    const one = { began: performance.now() };
    tries.push(one);
    const answer = await fetch(input, init);
    Object.assign(one, { ended: performance.now(), status: answer.status,
      after: answer.headers.get('retry-after') });
    return answer;
  };
  return {
    fetch: noting, signal: controller.signal, headers: c.headers ?? {},
    retries: c.retries === undefined ? {} : { maxRetries: c.retries },
    began: () => say({ id: c.id, began: true }),
  };
}

async function joined(stream, o, text) {
  let out = '', pieces = 0;
  for await (const event of stream) {
    if (pieces++ === 0) o.began();
    out += text(event) ?? '';
  }
  return { text: out, pieces };
}

const sdks = {
  async openai(c, o) {
    const client = new OpenAI({ baseURL: c.url + '/v1', apiKey: 'none', fetch: o.fetch,
      defaultHeaders: o.headers, ...o.retries });
    const call = { signal: o.signal };
    const doing = {
      async chat() {
        const got = await client.chat.completions.create(c.body, call);
        return { text: got.choices[0].message.content, usage: got.usage,
          calls: got.choices[0].message.tool_calls };
      },
      async stream() {
        const stream = await client.chat.completions.create(
          { ...c.body, stream: true, stream_options: { include_usage: true } }, call);
        let usage;
        const calls = [];
        const got = await joined(stream, o, (e) => {
          usage ??= e.usage;
          for (const t of e.choices[0]?.delta.tool_calls ?? []) calls.push(t.function.arguments);
          return e.choices[0]?.delta.content;
        });
        return { ...got, usage, arguments: calls.join('') };
      },
      async text() {
        const got = await client.completions.create(c.body, call);
        return { text: got.choices[0].text, usage: got.usage };
      },
      async responses() {
        const got = await client.responses.create(c.body, call);
        return { text: got.output_text, usage: got.usage };
      },
      async embeddings() {
        const got = await client.embeddings.create(c.body, call);
        return { count: got.data.length };
      },
      async models() {
        return { ids: (await client.models.list(call)).data.map((m) => m.id) };
      },
    };
    return doing[c.what]();
  },

  async anthropic(c, o) {
    const client = new Anthropic({ baseURL: c.url, apiKey: 'none', fetch: o.fetch,
      defaultHeaders: o.headers, ...o.retries });
    const call = { signal: o.signal };
    const text = (message) => message.content.map((b) => b.text ?? '').join('');
    if (c.what === 'chat') {
      const got = await client.messages.create(c.body, call);
      return { text: text(got), usage: got.usage };
    }
    if (c.what === 'count') return client.messages.countTokens(c.body, call);
    const stream = client.messages.stream(c.body, call);
    const got = await joined(stream, o, (e) => e.delta?.text);
    return { ...got, usage: (await stream.finalMessage()).usage };
  },

  async vercel(c, o) {
    const name = c.body.model;
    const model = c.provider === 'anthropic'
      ? createAnthropic({ baseURL: c.url + '/v1', apiKey: 'none', fetch: o.fetch, headers: o.headers })(name)
      : createOpenAICompatible({ name: 'slo', baseURL: c.url + '/v1', fetch: o.fetch,
        headers: o.headers, includeUsage: true })(name);
    const tools = c.body.tools && Object.fromEntries(c.body.tools.map((t) => [t.function.name,
      tool({ description: t.function.description, inputSchema: z.object({ unit: z.enum(['c', 'f']) }) })]));
    const ask = { model, messages: c.body.messages, maxOutputTokens: c.body.max_tokens, tools,
      toolChoice: c.body.tool_choice, providerOptions: { slo: c.more ?? {} },
      abortSignal: o.signal, ...o.retries };
    if (c.what === 'chat') {
      const got = await generateText(ask);
      return { text: got.text, usage: got.usage,
        calls: got.toolCalls.map((t) => ({ name: t.toolName, input: t.input })) };
    }
    let failed;
    const stream = streamText({ ...ask, onError: (e) => { failed ??= e.error; } });
    const got = await joined(stream.textStream, o, (piece) => piece);
    if (failed) throw failed;
    if (o.signal.aborted) throw o.signal.reason;
    return { ...got, usage: await stream.usage };
  },
};

function told(e) {
  const inner = e.lastError ?? e; // Vercel's RetryError wraps the last one
  return {
    names: [e.constructor.name, inner.constructor.name, e.name], message: e.message,
    status: inner.status ?? inner.statusCode, type: inner.type, code: inner.code,
    error: inner.error ?? inner.data,
  };
}

async function run(c) {
  const tries = [];
  const answer = { id: c.id };
  try {
    answer.value = await sdks[c.sdk](c, options(c, tries));
  } catch (e) {
    answer.error = told(e);
  }
  running.delete(c.id);
  say({ ...answer, tries });
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const c = JSON.parse(line);
  if (c.abort !== undefined) running.get(c.abort)?.abort();
  else run(c);
}).on('close', () => process.exit(0));
say({ ready: true });
