// The plots of what the service has recorded, of one agent or of all together, over a span that can be chosen.

import { get } from "./api.js";
import { BandPlot } from "./bandplot.js";
import { el, empty, setAttribute } from "./dom.js";
import { Inquiry } from "./inquiry.js";

/** How far back, in which steps (seconds), and how old it may be (milliseconds). */
const SPANS = [
  { name: "1h", title: "1 hour", step: 60, fresh: 10000, least: 1000 },
  { name: "1d", title: "1 day", step: 300, fresh: 60000, least: 60000 },
  { name: "30d", title: "30 days", step: 3600, fresh: 300000, least: 300000 },
];
const KNOWN = {
  memory_usage: { title: "Memory", about: "% of its share", colour: "ink-green" },
  cpu_utilization: { title: "CPU", about: "% of a core", colour: "ink-violet" },
  response_time: { title: "Response time", about: "seconds", colour: "ink-blue" },
  error_rate: { title: "Errors", about: "% of tasks", colour: "ink-red" },
  task_queue_length: { title: "Queue", about: "tasks that wait", colour: "ink-orange" },
  mcp_connection_health: { title: "MCP connections", about: "% that work", colour: "ink-accent" },
};
const ALWAYS = 4; // of the known ones; the others where there is something
const MOST = 24;

let made = 0;

export class Panels {
  #store;
  #plots = new Map();
  #catalogue = new Inquiry("metrics", "registry/metrics", 60000);
  #span = SPANS[0];
  #agent = null;
  #asked = 0;
  #rounds = -1;
  #turn = 0;

  constructor(store, { height } = {}) {
    this.#store = store;
    this.height = height;
    this.spans = this.#choice();
    this.p95 = el("span", { class: "key line-p95" }, "p95");
    this.legend = el("p", { class: "legend plot-legend", "aria-hidden": "true" }, el("span", { class: "key line-mean" }, "mean"), el("span", { class: "key band" }, "least to most"), this.p95);
    this.grid = el("div", { class: "band-plots" });
    this.nothing = el("div", { hidden: true });
    this.element = el("div", { class: "panels" }, el("div", { class: "panels-head" }, this.spans, this.legend), this.nothing, this.grid);
    this.#catalogue.addEventListener("change", () => this.#arrange());
  }

  #choice() {
    const name = `span-${(made += 1)}`;
    const buttons = SPANS.map((span) => el("label", {}, el("input", { type: "radio", name, value: span.name, checked: span === this.#span, change: () => this.#choose(span) }), el("span", {}, span.title)));
    return el("fieldset", { class: "segments", role: "radiogroup", "aria-label": "Span" }, buttons);
  }

  #choose(span) {
    this.#span = span;
    this.#asked = 0;
    this.render();
  }

  /** Show those of this agent; null for all together. */
  show(agent) {
    if (agent !== this.#agent) this.#asked = 0;
    this.#agent = agent;
    this.render();
  }

  render() {
    this.#catalogue.keep();
    const { rounds } = this.#store;
    const old = Date.now() - this.#asked;
    const told = rounds !== this.#rounds && old >= this.#span.least;
    if (document.hidden || !this.#plots.size || (old < this.#span.fresh && !told)) return;
    this.#rounds = rounds;
    this.#ask();
  }

  /** Whether this service records anything; undefined as long as that is not known. */
  get isOn() {
    return this.#catalogue.answer === undefined ? undefined : this.#catalogue.answer !== null;
  }

  // -- which plots there are ---------------------------------------------------

  #arrange() {
    const { answer } = this.#catalogue;
    const words = answer === null ? ["Metrics are off", "This service records none."] : answer.problem ? ["The metrics can't be shown", answer.problem.message] : null;
    this.nothing.hidden = !words;
    this.grid.hidden = this.spans.hidden = this.legend.hidden = Boolean(words);
    if (words) return this.nothing.replaceChildren(empty(...words));
    for (const metric of shownOf(answer.metrics)) {
      if (!this.#plots.has(metric)) this.#plots.set(metric, new BandPlot({ ...(KNOWN[metric] ?? { title: metric, about: "", colour: "ink-blue" }), height: this.height }));
    }
    this.grid.replaceChildren(...[...this.#plots.values()].map((plot) => plot.element));
    this.#asked = 0;
    this.render();
  }

  async #ask() {
    this.#asked = Date.now();
    const turn = ++this.#turn;
    const { name: since, step } = this.#span;
    setAttribute(this.grid, "aria-busy", "true");
    const found = await Promise.all([...this.#plots].map(async ([metric, plot]) => [plot, await this.#series(metric, since, step)]));
    if (turn !== this.#turn) return;
    setAttribute(this.grid, "aria-busy", null);
    for (const [plot, series] of found) if (series) plot.show(series);
    this.p95.hidden = !found.some(([, series]) => series?.points.some((point) => point.p95 != null));
  }

  #series(metric, since, step) {
    const query = new URLSearchParams({ metric, since, step, ...(this.#agent && { agent: this.#agent }) });
    return get(`registry/metrics?${query}`).catch(() => null);
  }
}

function shownOf(metrics) {
  const there = new Set(metrics.filter(({ agents }) => agents !== 0).map(({ name }) => name));
  const known = Object.keys(KNOWN).filter((name, index) => index < ALWAYS || there.has(name));
  return [...known, ...[...there].filter((name) => !(name in KNOWN)).sort()].slice(0, MOST);
}
