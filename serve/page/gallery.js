// The gallery: one article a request, from its first preview to its pictures, the newest on top.

import { hashOf } from "./form.js";
import { sizeText, usualSizes } from "./sizes.js";

const KEPT = 200; // pictures, beyond which the oldest requests go
const SHOWN = 168; // pixels of the screen at least for a side of the training size: small pictures are enlarged

const DOT = "\u00a0· "; // a line ends with it rather than begin

const gallery = document.getElementById("gallery");

/** One request and its pictures. */
export class Run {
  /** `names` has an entry a class; `again(settings)` asks for pictures, `cancel()` gives these up. */
  constructor(model, names, settings, { again, cancel }) {
    Object.assign(this, { model, settings, again });
    this.labels = settings.labels.flatMap((label) => Array(settings.count).fill(label));
    this.title = element("h3", { textContent: settings.labels.map((label) => names[label]).join(", "), tabIndex: -1 });
    this.about = element("p", { className: "about", textContent: parametersText(settings) });
    this.bar = element("progress", {});
    this.bar.setAttribute("aria-label", "Progress");
    this.cancel = element("button", { type: "button", className: "text", textContent: "Cancel", title: "Esc" });
    this.cancel.addEventListener("click", cancel);
    this.doing = element("span", { className: "doing", textContent: "Waiting" });
    this.working = element("div", { className: "working" }, this.bar, this.doing, this.cancel);
    this.figures = this.labels.map((label, i) => this.#figure(names[label], settings.seed + i));
    const pictures = element("div", { className: "pictures" }, ...this.figures);
    this.article = element("article", {}, element("header", {}, this.title, this.about), this.working, pictures);
    this.article.setAttribute("aria-busy", "true");
    document.getElementById("empty").hidden = true;
    gallery.prepend(this.article);
    this.article.scrollIntoView({ block: "nearest" });
  }

  /** Show how far it is. */
  progress(done, total) {
    [this.bar.value, this.bar.max] = [done, total];
    this.doing.textContent = `${done} of ${total}`;
  }

  /** Show what the pictures from `first` on are heading for. */
  preview({ first, images }) {
    images.forEach((file, i) => this.#show(first + i, `data:${this.#type};base64,${file}`));
  }

  /** Show the result. */
  finish({ images, notes = [], timing }) {
    images.forEach(({ b64_json: file, label, seed }, i) => {
      const url = URL.createObjectURL(fileFrom(file, this.#type));
      this.#show(i, url);
      this.figures[i].classList.add("done");
      const { width, height, name } = this.#naming(label, seed);
      this.figures[i].querySelector("img").alt = `${label}, ${width} by ${height} pixels, seed ${seed}`;
      this.figures[i].querySelector("figcaption").replaceChildren(...caption(label, seed));
      this.figures[i].append(this.#actions(this.labels[i], seed, url, name));
    });
    const link = element("a", { href: hashOf(this.settings), textContent: "link to these settings" });
    this.about.append(DOT, timingText(timing, images.length), DOT, link);
    if (notes.length) this.about.after(element("p", { className: "note", textContent: notes.join(" ") }));
    const focused = this.working.contains(document.activeElement);
    this.working.remove();
    if (focused) this.title.focus();
    this.article.removeAttribute("aria-busy");
    forgetOldest();
  }

  /** Take it off the page, with what it holds. */
  remove() {
    const focused = this.article.contains(document.activeElement);
    for (const { src } of this.article.querySelectorAll("img[src^='blob:']")) URL.revokeObjectURL(src);
    this.article.remove();
    document.getElementById("empty").hidden = Boolean(gallery.querySelector("article"));
    if (focused) document.getElementById("generate").focus();
  }

  get #type() {
    return `image/${this.settings.format}`;
  }

  #naming(label, seed) {
    const [width, height] = this.settings.size;
    const plain = label.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");
    return { width, height, name: `${plain}-${width}x${height}-seed${seed}.${this.settings.format}` };
  }

  #show(i, url) {
    const picture = this.figures[i].querySelector("img");
    picture.src = url;
    picture.hidden = false;
  }

  #figure(label, seed) {
    const [width, height] = this.settings.size;
    const scale = Math.max(1, Math.round(SHOWN / Math.max(...this.model.train_size)));
    const picture = element("img", { alt: `${label}, being made`, hidden: true, width, height });
    picture.classList.toggle("enlarged", scale > 1);
    const frame = element("div", { className: "frame" }, picture);
    frame.style.aspectRatio = `${width} / ${height}`;
    const figure = element("figure", {}, frame, element("figcaption", {}, ...caption(label, seed)));
    figure.style.width = `${width * scale}px`;
    return figure;
  }

  #actions(label, seed, url, name) {
    const one = { ...this.settings, labels: [label], count: 1, seed };
    const sizes = usualSizes(this.model).filter((size) => sizeText(size) !== sizeText(this.settings.size));
    const download = element("a", { href: url, download: name, textContent: "Download" });
    const actions = element("p", { className: "actions small" }, download);
    if (this.model.fixed_size) return actions;
    const others = sizes.map((size) => {
      const button = element("button", { type: "button", textContent: size.join(" × ") });
      button.addEventListener("click", () => this.again({ ...one, size }));
      return button;
    });
    const free = element("a", { href: hashOf(one), textContent: "another …" });
    const menu = element("div", { className: "row" }, ...others, free);
    actions.append(element("details", {}, element("summary", { textContent: "Same seed, new size" }), menu));
    return actions;
  }
}

function caption(label, seed) {
  return [element("b", { textContent: label }), ` seed ${seed}`];
}

/** What all pictures of a request have in common, in a line. */
function parametersText({ size, solver, steps, guidance, seed }) {
  return [size.join(" × "), `${solver}, ${steps} steps`, `guidance ${guidance}`, `seed ${seed}`].join(DOT);
}

function timingText({ queued_ms: queued, sampling_ms: sampling, batch }, own) {
  const company = batch > own ? ` in a batch of ${batch}` : "";
  return `sampled in ${seconds(sampling)}${company}, after ${seconds(queued)} in the queue`;
}

/** Milliseconds, to be read. */
export function seconds(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function fileFrom(base64, type) {
  return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type });
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function forgetOldest() {
  const articles = [...gallery.querySelectorAll("article:not([aria-busy])")];
  let kept = 0;
  for (const article of articles) {
    kept += article.querySelectorAll("figure").length;
    if (kept <= KEPT || article === articles[0]) continue;
    for (const { src } of article.querySelectorAll("img")) URL.revokeObjectURL(src);
    article.remove();
  }
}
