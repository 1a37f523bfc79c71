// Everything about one agent: its record, what happened to it, and plots of what it reported.

import { get } from "./api.js";
import { asked, showDecisions } from "./decisions.js";
import { bdi, clipped, el, setText, statusMark } from "./dom.js";
import { age, bytes, clock, count, dateTime, duration } from "./format.js";
import { gauge } from "./gauge.js";
import { Inquiry } from "./inquiry.js";
import { Panels } from "./panels.js";
import { Plot } from "./plots.js";
import { Row } from "./row.js";
import { told } from "./telling.js";

const FRESH = 5000; // heartbeats are no events: the record is asked for again now and then
const MOST = 100;
const LONGEST = 20000;
const DOUBLED = Array.from({ length: 45 }, (_, power) => 2 ** power); // so that axes of bytes have round figures

export class Detail {
  id = null;
  #store;
  #asked = 0;
  #record = null;
  #why = new Inquiry("decisions", asked(""), 15000);
  #drawn = null;
  #events = "";

  constructor(store) {
    this.#store = store;
    this.title = el("h2", { tabindex: -1, id: "detail-title" });
    this.status = el("p", { class: "detail-status" });
    this.body = el("div", { class: "detail-body" });
    this.facts = el("div");
    this.sections = madeSections();
    this.more = el("div", {}, this.sections.map((section) => section.element));
    this.gone = el("p", { class: "detail-gone", hidden: true, role: "status" }, "This agent is not registered any more.");
    this.plots = {
      response: new Plot({ title: "Response time", format: duration, colour: "ink-blue" }),
      memory: new Plot({ title: "Memory", format: bytes, colour: "ink-green", steps: DOUBLED }),
      tasks: new Plot({ title: "Tasks", format: (value) => count(Number(value.toFixed(1))), colour: "ink-violet", steps: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000, 100000] }),
    };
    this.charts = el("div", { class: "plots" }, Object.values(this.plots).map((plot) => plot.element));
    this.panels = new Panels(store, { height: 120 });
    this.recorded = el("details", { open: true, hidden: true }, el("summary", {}, "Recorded"), this.panels.element);
    this.decisions = el("ol", { class: "decisions" });
    this.why = el("details", { open: true, hidden: true }, el("summary", {}, "Why: decisions about it"), this.decisions);
    this.#why.addEventListener("change", () => this.#renderWhy());
    this.list = el("ol", { class: "events" });
    this.body.append(this.gone, this.facts, this.charts, this.recorded, this.why, this.more, el("h3", {}, "Events seen"), this.list);
    const close = el("a", { class: "button quiet icon close", href: "#/agents", "aria-label": "Close" });
    this.element = el("aside", { class: "detail card", "aria-labelledby": "detail-title", hidden: true }, el("header", {}, el("div", {}, this.title, this.status), close), this.body);
  }

  show(id) {
    if (id === this.id) return;
    this.id = id;
    this.element.hidden = !id;
    this.#record = this.#drawn = null;
    this.why.hidden = true;
    this.#events = "";
    this.#asked = 0;
    this.body.scrollTop = 0;
    for (const plot of Object.values(this.plots)) plot.show([]);
    this.render();
  }

  focus() {
    this.title.focus({ preventScroll: true });
  }

  render() {
    if (!this.id) return;
    if (Date.now() - this.#asked > FRESH && !document.hidden) this.#ask(this.id);
    const row = this.#store.rows.get(this.id);
    this.gone.hidden = Boolean(row) || !this.#store.listed;
    const shown = row ?? (this.#record && new Row(this.#record));
    if (shown) this.#renderRow(shown);
    else setText(this.title, clipped(this.id));
    this.#renderPlots(row);
    this.#renderRecorded(shown?.name);
    this.#renderEvents();
  }

  async #ask(id) {
    this.#asked = Date.now();
    const record = await get(`registry/agents/${encodeURIComponent(id)}`).catch(() => null);
    if (id !== this.id) return;
    this.#record = record ?? this.#record;
  }

  /** What the service keeps of it: figures by its id, decisions by its name. */
  #renderRecorded(name) {
    this.panels.show(this.id);
    this.recorded.hidden = !this.panels.isOn;
    if (name === undefined) return;
    this.#why.aim(asked(name, 20));
    this.#why.keep();
  }

  #renderWhy() {
    const decisions = this.#why.answer?.decisions ?? [];
    this.why.hidden = decisions.length === 0;
    showDecisions(this.decisions, decisions);
  }

  #renderRow(row) {
    const record = this.#newest(row);
    const key = `${row.status} ${JSON.stringify(record)} ${Math.floor(this.#store.now() / 5000)}`;
    if (key === this.#drawn || isSelecting(this.element)) return;
    this.#drawn = key;
    this.title.replaceChildren(bdi(clipped(row.name)));
    this.status.replaceChildren(statusMark(row.status), bdi(clipped(row.id), { class: "mono" }));
    this.facts.replaceChildren(...[facts(aboutIt(row, record, this.#store.now())), usage(row)].filter(Boolean));
    for (const section of this.sections) section.show(record);
  }

  /** What the stream told last, with what only the answer has. */
  #newest(row) {
    const heard = this.#record?.last_heartbeat;
    return heard ? { ...row.record, last_heartbeat: heard } : row.record;
  }

  #renderPlots(row) {
    const seen = (row && this.#store.series.get(row.id)) ?? [];
    for (const [name, plot] of Object.entries(this.plots)) plot.show(inOrder(seen.map((point) => [point.at, point[name]])));
    this.charts.hidden = Object.values(this.plots).every((plot) => plot.element.hidden);
  }

  #renderEvents() {
    const key = `${this.id} ${this.#store.events.added}`;
    if (key === this.#events) return;
    this.#events = key;
    const events = this.#store.events.items.filter((event) => concerns(event, this.id)).slice(-MOST).reverse();
    const lines = events.map((event) => el("li", {}, el("time", { datetime: new Date(event.at).toISOString() }, clock(event.at)), el("span", {}, told(event))));
    this.list.replaceChildren(...(lines.length ? lines : [el("li", { class: "none" }, "None since this page was opened.")]));
  }
}

// Agents may report with times of their own.
const inOrder = (points) => points.sort(([one], [other]) => one - other);

const concerns = (event, id) => event.id === id || (event.data?.affected_agents ?? []).includes(id);

// -- the record ---------------------------------------------------------------

function madeSections() {
  return [
    new Section("Capabilities", (record) => record.capabilities, tags),
    new Section("Tools", (record) => record.config?.tools, tags),
    new Section("Configuration", ({ config: { tools: _, ...config } = {} }) => config, group),
    new Section("Resources", (record) => record.resources, group),
    new Section("Performance", (record) => record.performance, group),
    new Section("Relationships", (record) => record.relationships, group),
    new Section("Metadata", (record) => record.metadata, json),
  ];
}

/** A part that can be folded. It stays the same element, so that nobody who is in it loses the focus. */
class Section {
  #shown = null;

  constructor(title, of, make) {
    this.title = title;
    this.of = of;
    this.make = make;
    this.body = el("div");
    this.element = el("details", { open: true, hidden: true }, el("summary", {}, title), this.body);
  }

  show(record) {
    const value = this.of(record);
    const said = JSON.stringify(value ?? null);
    if (said === this.#shown) return;
    this.#shown = said;
    const content = this.make(value, this.title);
    this.element.hidden = !content;
    this.body.replaceChildren(...(content ? [content] : []));
  }
}

/** Whether somebody is about to copy something from *element*. */
function isSelecting(element) {
  const selection = getSelection();
  return !selection.isCollapsed && element.contains(selection.anchorNode);
}

function aboutIt(row, record, now) {
  return [
    ["Runtime", row.runtime],
    ["Host", row.host],
    ["Process", record.pid || null],
    ["Directory", row.cwd],
    ["Registered", `${dateTime(row.created)} (${age(now - row.created)})`],
    ["Last heartbeat", moment(record.last_heartbeat, now)],
    ["Last activity", moment(record.last_activity, now)],
    ["Health", record.health],
    ["Work", record.status],
    ["Version", record.version],
    ["File", record.file_path],
    ["Endpoint", record.endpoint],
    ["Revision", record.revision],
  ];
}

function moment(text, now) {
  const at = Date.parse(text);
  return Number.isFinite(at) ? `${clock(at)} (${age(now - at)} ago)` : null;
}

function facts(pairs) {
  const known = pairs.filter(([, value]) => !isEmpty(value));
  return known.length ? el("dl", { class: "facts" }, known.map(([name, value]) => el("div", {}, el("dt", {}, bdi(clipped(String(name)))), el("dd", {}, bdi(clipped(shown(value), LONGEST)))))) : null;
}

const isEmpty = (value) => value == null || value === "" || (Array.isArray(value) && value.length === 0);
const shown = (value) => (typeof value === "object" ? JSON.stringify(value, null, 1) : String(value));

function usage(row) {
  const bars = [gauge("Tasks", row.tasks, row.most, count), gauge("Memory", row.memory, row.allocated, bytes)].filter(Boolean);
  return bars.length ? el("div", { class: "gauges" }, bars) : null;
}

function tags(values) {
  if (!Array.isArray(values) || values.length === 0) return null;
  return el("ul", { class: "tags" }, values.map((each) => el("li", {}, bdi(clipped(String(each))))));
}

function group(values) {
  return facts(Object.entries(values ?? {}).map(([name, value]) => [name.replaceAll("_", " "), value]));
}

function json(value, title) {
  if (!value || Object.keys(value).length === 0) return null;
  return el("pre", { tabindex: 0, "aria-label": title, dir: "auto" }, JSON.stringify(value, null, 2));
}
