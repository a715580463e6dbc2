// The server as the page sees it: JSON, and server-sent events over fetch (an EventSource cannot send a body or a key).

import { askForKey, storedKey } from "./key.js";

/** What the server refused, in its own words; `param` is the field of the request at fault. */
export class Refusal extends Error {
  constructor({ message, param = null }) {
    super(message);
    this.param = param;
  }
}

/** The JSON at a path. Throws Refusal. */
export async function get(path) {
  return (await asked(path, {})).json();
}

/** Queue and readiness: `{ready, waiting}`, also from a server that takes no requests. */
export async function readiness() {
  const answer = await fetch("readyz", { cache: "no-store" });
  return answer.json();
}

/** Post a request, and tell of its events until its result, which is returned. Throws Refusal. */
export async function generate(request, signal, told) {
  const answer = await asked("v1/generate", {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify({ ...request, stream: true }),
  });
  for await (const { name, data } of events(answer.body)) {
    if (name === "result") return data;
    if (name === "error") throw new Refusal(data.error ?? data);
    told(name, data);
  }
  throw new Refusal({ message: "The server ended the answer before the pictures were done." });
}

async function asked(path, options) {
  for (let refused = false; ; refused = true) {
    const key = storedKey();
    const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    const answer = await reached(path, { ...options, headers });
    if (answer.ok) return answer;
    if (answer.status !== 401 || !(await askForKey(refused))) throw await refusal(answer);
  }
}

async function reached(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ message: "The server cannot be reached." });
  }
}

async function refusal(answer) {
  try {
    return new Refusal((await answer.json()).error);
  } catch {
    return new Refusal({ message: `The server answered ${answer.status} ${answer.statusText}.` });
  }
}

/** The events of a stream: `{name, data}` with data from JSON. Comments, which keep a connection open, are left out. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let event = {};
  let pieces = []; // of a line: one with pictures comes in hundreds, and joining them each time would take long
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      pieces.push(value);
      if (!value.includes("\n")) continue;
      const lines = pieces.join("").split("\n");
      pieces = [lines.pop()];
      for (const line of lines) {
        if (line.startsWith("event:")) event.name = line.slice("event:".length).trim();
        if (line.startsWith("data:")) event.data = JSON.parse(line.slice("data:".length));
        if (line.trim()) continue;
        if (event.data) yield event;
        event = {};
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ message: "The connection to the server broke before the pictures were done." });
  } finally {
    reader.cancel().catch(() => {});
  }
}
