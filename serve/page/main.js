// The page: asks what is being served, and brings form, server and gallery together.

import { generate, get, readiness } from "./api.js";
import { classNames, hashOf, markField, prepareForm, requestOf, takeHash } from "./form.js";
import { Run, seconds } from "./gallery.js";

const IDLE = 5000; // milliseconds between looks at the queue,
const BUSY = 1000; // and while something is being made

let opened = false;
let next; // the timer of the next look
const running = []; // [{run, giveUp}], the newest last
const show = (id, text) => { document.getElementById(id).textContent = text; };

/** Show the form for what is being served. */
async function open() {
  opened = true;
  try {
    const model = await get("v1/model");
    document.title = `${model.model} · fdcn`;
    show("model", model.model);
    show("backend", model.backend);
    prepareForm(model, (settings) => make(model, settings));
    takeHash();
    // Also links to the settings that are already in the address, which change nothing there.
    window.addEventListener("hashchange", settingsTaken);
    document.getElementById("gallery").addEventListener("click", ({ target }) => {
      if (target.closest("a")?.hash === location.hash) settingsTaken();
    });
  } catch (error) {
    complain(error);
  }
}

/** Ask for pictures and follow them until they are there, refused, or given up. */
async function make(model, settings) {
  const names = classNames(model);
  const control = new AbortController();
  const giveUp = () => control.abort();
  const again = (other) => make(model, other);
  complain(null);
  history.replaceState(null, "", hashOf(settings));
  const run = new Run(model, names, settings, { again, cancel: giveUp });
  const entry = { run, giveUp };
  running.push(entry);
  watch();
  say("Waiting");
  try {
    const began = performance.now();
    let quarter = -1;
    const result = await generate(requestOf(settings), control.signal, (name, data) => {
      if (name === "preview") run.preview(data);
      if (name !== "progress") return;
      run.progress(data.done, data.total);
      // A screen reader need not hear of each step.
      const passed = Math.floor((4 * data.done) / data.total);
      if (passed !== quarter) say(`${data.done} of ${data.total} steps`);
      quarter = passed;
    });
    run.finish(result);
    const took = seconds(performance.now() - began);
    show("latency", took);
    const made = result.images.length;
    say(`${made === 1 ? "The picture is" : `${made} pictures are`} done, after ${took}`);
  } catch (error) {
    run.remove();
    if (error.name === "AbortError") say("Cancelled");
    else complain(error);
  } finally {
    running.splice(running.indexOf(entry), 1);
    watch();
  }
}

/** Settings came by the address: to be changed or sent. */
function settingsTaken() {
  if (!takeHash()) return;
  document.querySelector("#form [name=width]").focus();
  say("The form has these settings");
}

/** What a screen reader is to say next. */
function say(text) {
  show("status", text);
}

/** Show an error, and the field that it is about; null takes it away. */
function complain(error) {
  if (error && !("param" in error)) console.error(error); // a fault of the page itself
  show("message", error?.message ?? "");
  document.getElementById("dismiss").hidden = !error;
  if (error) say("");
  markField(error?.param);
}

/** Keep the state and the queue up to date; the first time that the server is ready, begin. */
async function watch() {
  if (!document.hidden || !opened) {
    try {
      const { ready, waiting } = await readiness();
      if (ready && !opened) open();
      show("state", ready ? "ready" : "not ready");
      show("queue", waiting === 1 ? "1 picture" : `${waiting} pictures`);
    } catch {
      show("state", "no connection");
      show("queue", "–");
    }
  }
  clearTimeout(next);
  next = setTimeout(watch, running.length || !opened ? BUSY : IDLE);
}

document.getElementById("dismiss").addEventListener("click", () => {
  complain(null);
  document.getElementById("generate").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) running.at(-1)?.giveUp();
});
watch();
