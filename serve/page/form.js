// The form: what is asked for, to and from its fields and the address's hash.
//
// "Settings" are {labels, size, seed, count, steps, guidance, solver, format}: labels are class numbers, which are
// exact where names are not (ImageNet has two cranes).

import { sizeFrom, sizeText, usualSizes } from "./sizes.js";

const SEEN = 24; // classes at a time; of more, the others are looked for
const PREVIEWS = 8; // at most, of a request: each may cost a decoder's run
const DRAWN_BELOW = 1_000_000; // seeds short enough to be read out
const FIELD_OF = { size: "width", labels: "classes", seeds: "seed" }; // what is called otherwise in a request

const form = document.getElementById("form");
const classes = document.getElementById("classes");
const finder = document.getElementById("finder");
const find = document.getElementById("find");
const field = (name) => form.elements.namedItem(name);

/** Fill the form in for a model; `submitted` is called with the settings. */
export function prepareForm(model, submitted) {
  const names = classNames(model);
  classes.replaceChildren(...names.map((name, index) => checkbox(name, index)));
  boxes()[0].checked = true;
  prepareFinder(names);
  prepareSizes(model);
  document.getElementById("all").hidden = names.length > model.max_images;
  document.getElementById("all").addEventListener("click", () => check(() => true));
  document.getElementById("none").addEventListener("click", () => check(() => false));
  field("solver").replaceChildren(...model.solvers.map((name) => new Option(name, name, false, name === model.solver)));
  field("steps").value = model.steps;
  field("guidance").value = model.guidance;
  drawSeed();
  field("seed").addEventListener("input", () => { field("random").checked = false; });
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field("random").checked) drawSeed();
    submitted(settings());
  });
  refresh();
  form.hidden = false;
}

/** Each class's name, or its number where the model has no names. */
export function classNames(model) {
  return model.class_names ?? Array.from({ length: model.classes }, (_, index) => String(index));
}

/** What the form asks for. */
function settings() {
  return {
    labels: boxes().filter((box) => box.checked).map((box) => Number(box.value)),
    size: [Number(field("width").value), Number(field("height").value)],
    ...Object.fromEntries(["seed", "count", "steps", "guidance"].map((name) => [name, Number(field(name).value)])),
    solver: field("solver").value,
    format: field("format").value,
    previews: field("previews").checked,
  };
}

/** Settings as the body of `POST /v1/generate`. */
export function requestOf({ labels, size, seed, count, steps, guidance, solver, format, previews }) {
  const previewEvery = previews ? Math.ceil(steps / PREVIEWS) : 0;
  const sampling = { seed, count, steps, guidance, solver };
  return { labels, size: sizeText(size), ...sampling, output_format: format, preview_every: previewEvery };
}

/** Settings as an address's hash, which `takeHash` reads again. */
export function hashOf({ labels, size, ...rest }) {
  const query = new URLSearchParams(labels.map((label) => ["label", label]));
  query.set("size", sizeText(size));
  for (const name of ["seed", "count", "steps", "guidance", "solver", "format"]) query.set(name, rest[name]);
  return `#${query}`;
}

/** Take settings over from the address. Returns whether it had any. */
export function takeHash() {
  const query = new URLSearchParams(location.hash.slice(1));
  const labels = query.getAll("label");
  if (labels.length) check((box) => labels.includes(box.value));
  const size = sizeFrom(query.get("size"));
  if (size) [field("width").value, field("height").value] = size;
  for (const name of ["seed", "count", "steps", "guidance", "solver", "format"]) {
    if (query.has(name)) field(name).value = query.get(name);
  }
  if (query.has("seed")) field("random").checked = false;
  refresh();
  return query.toString() !== "";
}

/** Mark the field that the server found at fault, or none. */
export function markField(param) {
  for (const marked of form.querySelectorAll("[aria-invalid]")) {
    marked.removeAttribute("aria-invalid");
    marked.removeAttribute("aria-describedby");
  }
  const found = param && (FIELD_OF[param] === "classes" ? boxes()[0] : field(FIELD_OF[param] ?? param));
  if (!found) return;
  found.setAttribute("aria-invalid", "true");
  found.setAttribute("aria-describedby", "message");
  found.focus();
}

function boxes() {
  return [...classes.querySelectorAll("input")];
}

function check(wanted) {
  for (const box of boxes()) box.checked = wanted(box);
  refresh();
}

function checkbox(name, index) {
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", value: index });
  label.append(box, name);
  return label;
}

function prepareFinder(names) {
  if (names.length <= SEEN) return;
  classes.classList.add("many");
  finder.hidden = false;
  finder.querySelector("span").textContent = `Find a class among ${names.length}`;
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // the first that fits, rather than a request
    const first = boxes().find((box) => !box.checked && !box.parentElement.hidden);
    if (!first || !find.value.trim()) return;
    first.checked = true;
    find.value = "";
    refresh();
  });
}

/** Of many classes, show those chosen and the first that are looked for: nobody tabs through a thousand. */
function narrow() {
  const wanted = find.value.trim().toLowerCase();
  let room = finder.hidden ? Infinity : SEEN;
  for (const box of boxes()) {
    const label = box.parentElement;
    const fits = label.textContent.toLowerCase().includes(wanted) || box.value === wanted;
    const stays = box.checked || box === document.activeElement;
    label.hidden = !stays && !(fits && room-- > 0);
  }
}

function prepareSizes(model) {
  const usual = usualSizes(model);
  [field("width").value, field("height").value] = usual[0];
  document.getElementById("size").disabled = Boolean(model.fixed_size);
  const presets = document.getElementById("presets");
  presets.replaceChildren(...usual.map((size) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: size.join(" × ") });
    button.dataset.size = sizeText(size);
    button.addEventListener("click", () => {
      [field("width").value, field("height").value] = size;
      refresh();
    });
    return button;
  }));
}

function drawSeed() {
  field("seed").value = Math.floor(Math.random() * DRAWN_BELOW);
}

/** What follows from the fields: classes in sight, the pressed preset, the number of pictures, what is missing. */
function refresh() {
  narrow();
  const now = settings();
  for (const button of document.querySelectorAll("#presets button")) {
    button.setAttribute("aria-pressed", String(button.dataset.size === sizeText(now.size)));
  }
  const pictures = now.labels.length * now.count;
  document.getElementById("generate").textContent = pictures > 1 ? `Generate ${pictures} pictures` : "Generate";
  document.getElementById("chosen").textContent = `${now.labels.length} of ${boxes().length} chosen`;
  boxes()[0].setCustomValidity(now.labels.length ? "" : "Choose a class.");
}
