// A host, and who has which part of its memory, as a picture and as a table.

import { agentLink, bdi, clipped, el, setAttribute, setText, svg } from "./dom.js";
import { bytes, count, counted, dateTime, percent } from "./format.js";
import { gauge } from "./gauge.js";
import { treemap } from "./treemap.js";

export const PRIORITIES = ["critical", "important", "normal", "low"];
const SMALLEST = 700; // square pixels in which one can be seen and pointed at
const LISTED = 200;
const HEIGHT = 190;

/** A card for one host; `show(host)`. */
export class HostCard {
  #host = null;
  #drawn = "";

  constructor(open) {
    this.title = el("h2");
    this.facts = el("p", { class: "sub" });
    this.gauges = el("div", { class: "gauges" });
    this.picture = svg("svg", { class: "shares-map", height: HEIGHT, role: "img", click: (event) => chosen(event, open) });
    this.place = el("div", { class: "shares-place" }, this.picture);
    this.list = el("div", { class: "scroller", tabindex: 0, role: "region" });
    this.details = el("details", { toggle: () => this.#renderTable() }, el("summary", {}, "As a table"), this.list);
    this.element = el("article", { class: "card host" }, this.title, this.facts, this.place, this.gauges, this.details);
    new ResizeObserver(() => this.#draw()).observe(this.place);
  }

  show(host) {
    this.#host = host;
    const { memory, cpu, fragmentation, allocations, name } = host;
    this.title.replaceChildren(bdi(clipped(name || "this host", 120)));
    setText(this.facts, `${counted(allocations.length, "allocation")} · ${memory.total == null ? `${bytes(memory.allocated)} given away, without a budget` : `${bytes(memory.free)} free`} · fragmentation ${percent(fragmentation ?? 0)}`);
    this.gauges.replaceChildren(...[gauge("Memory", memory.allocated, memory.total, bytes), cpu && gauge("CPU cores", cpu.allocated, cpu.total, (cores) => count(Number(cores.toFixed(2))))].filter(Boolean));
    setAttribute(this.list, "aria-label", `Allocations on ${clipped(name, 60)}`);
    this.#drawn = "";
    this.#draw();
    this.#renderTable();
  }

  #draw() {
    const width = this.place.clientWidth;
    if (!this.#host || width === 0 || this.#drawn === String(width)) return;
    this.#drawn = String(width);
    setAttribute(this.picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    setAttribute(this.picture, "aria-label", said(this.#host));
    this.picture.replaceChildren(...cells(this.#host, width));
  }

  #renderTable() {
    if (!this.details.open || !this.#host) return;
    const sorted = this.#host.allocations.toSorted((one, other) => other.memory - one.memory);
    const lines = sorted.slice(0, LISTED).map((each) => el("tr", {}, el("th", { scope: "row" }, agentLink(each.agent_id, each.agent)), el("td", {}, bytes(each.memory)), el("td", {}, each.priority), el("td", {}, dateTime(Date.parse(each.since)))));
    const rest = PRIORITIES.flatMap((priority) => restLine(sorted.slice(LISTED), priority));
    const head = el("thead", {}, el("tr", {}, ["Agent", "Memory", "Priority", "Since"].map((each) => el("th", { scope: "col" }, each))));
    const top = this.list.scrollTop;
    this.list.replaceChildren(el("table", { class: "data" }, head, el("tbody", {}, lines, rest)));
    this.list.scrollTop = top;
  }
}

function restLine(smaller, priority) {
  const found = smaller.filter((each) => each.priority === priority);
  return found.length ? [el("tr", {}, el("th", { scope: "row" }, `${count(found.length)} smaller ones`), el("td", {}, bytes(summed(found))), el("td", {}, priority), el("td", {}, "–"))] : [];
}

const summed = (allocations) => allocations.reduce((total, { memory }) => total + memory, 0);

function chosen(event, open) {
  const { id } = event.target.closest("[data-id]")?.dataset ?? {};
  if (id !== undefined) open(id);
}

// -- the picture ----------------------------------------------------------------

/** What is given away, by priorities, and beside it what is free. */
function cells({ memory, allocations }, width) {
  const total = Math.max(memory.total ?? 0, memory.allocated, 1);
  const taken = (Math.max(memory.allocated, summed(allocations)) / total) * width;
  const groups = PRIORITIES.map((priority) => allocations.filter((each) => each.priority === priority)).map((group) => ({ value: summed(group), group }));
  const found = treemap(groups, { x: 0, y: 0, width: Math.min(taken, width), height: HEIGHT });
  const shown = found.flatMap(([{ group, value }, place]) => treemap(seen(group, (place.width * place.height) / value), place));
  const free = { x: taken, y: 0, width: Math.max(0, width - taken), height: HEIGHT };
  return [cell({ kind: "free", title: "free", words: memory.free == null ? "no budget" : bytes(memory.free) }, free), ...shown.map(([item, place]) => cell(item, place))];
}

/** Those that are large enough by themselves, and one for all others. */
function seen(group, scale) {
  const { priority } = group[0];
  const large = group.filter(({ memory }) => memory * scale >= SMALLEST);
  const small = group.filter(({ memory }) => memory * scale < SMALLEST);
  const items = large.map((each) => ({ value: each.memory, kind: priority, id: each.agent_id, title: clipped(each.agent, 60), words: bytes(each.memory) }));
  if (small.length) items.push({ value: summed(small), kind: priority, many: small.length, title: `${count(small.length)}${large.length ? " smaller" : ""}`, words: bytes(summed(small)) });
  return items;
}

const LETTER = 7; // pixels, about

function cell({ kind, id, many, title, words }, { x, y, width, height }) {
  const inner = { x: x + 0.75, y: y + 0.75, width: Math.max(0, width - 1.5), height: Math.max(0, height - 1.5) };
  const shape = svg("rect", { ...inner, rx: 3 });
  const tip = svg("title", {}, [title, words, kind === "free" ? "" : kind].filter(Boolean).join(" · "));
  const letters = Math.floor((width - 10) / LETTER);
  const name = letters >= 3 && height >= 20 ? svg("text", { x: x + 6, y: y + 16 }, fitting(title, letters)) : null;
  const size = words.length <= letters && height >= 38 ? svg("text", { x: x + 6, y: y + 32, class: "soft" }, words) : null;
  return svg("g", { class: `cell${many ? " many" : ""}`, "data-kind": kind, "data-id": id }, shape, tip, name, size);
}

const fitting = (text, letters) => (text.length <= letters ? text : `${text.slice(0, letters - 1)}…`);

function said({ name, memory, allocations }) {
  const groups = PRIORITIES.map((priority) => [priority, allocations.filter((each) => each.priority === priority)]).filter(([, group]) => group.length);
  const words = groups.map(([priority, group]) => `${count(group.length)} ${priority} with ${bytes(summed(group))}`);
  return `Memory of ${clipped(name, 120)}: ${[...words, memory.free == null ? "no budget" : `${bytes(memory.free)} free`].join(", ")}.`;
}
