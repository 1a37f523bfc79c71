// One metric over time: the mean as a line, from the least to the most as a band, p95 where it was recorded.

import { clipped, el, setText } from "./dom.js";
import { count, dateTime, formatOf } from "./format.js";
import { Canvas, hour } from "./plots.js";

const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const STEPS = {
  fraction: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5],
  count: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000],
};
const LINES = ["max", "min", "mean", "p95"];

/** A figure. `show(series)` takes what the service answers for one metric. */
export class BandPlot {
  #series = null;
  #data = null;
  #unit = "fraction";

  constructor({ title, colour, about, height = 150 }) {
    this.title = title;
    this.now = el("span", { class: "plot-now" }, "–");
    this.canvas = new Canvas({ colour, height, options: (inks) => this.#options(inks) });
    this.none = el("p", { class: "plot-none", hidden: true }, "Nothing was recorded in this span.");
    this.said = el("p", { class: "hidden" });
    this.table = el("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": `${title}, figures` });
    this.details = el("details", { toggle: () => this.#renderTable() }, el("summary", {}, "Figures", el("span", { class: "hidden" }, ` of ${title}`)), this.table);
    this.element = el("figure", { class: "band-plot" }, el("figcaption", {}, el("span", { class: "plot-title" }, title, el("span", { class: "about" }, ` ${about}`)), this.now), this.said, el("div", { class: "plot-area" }, this.canvas.element, this.none), this.details);
  }

  show(series) {
    this.#series = series;
    this.#unit = series.unit;
    this.#data = columns(series);
    this.none.hidden = series.points.length > 0;
    this.canvas.show(this.#data);
    this.#readOut(null);
    setText(this.said, summary(series, this.title));
    this.#renderTable();
  }

  /** The value under the pointer, or the newest. */
  #readOut(index) {
    const format = formatOf(this.#unit);
    const [moments, most, least, means, high] = this.#data ?? [[]];
    if (index != null && means[index] != null) {
      const p95 = high[index] == null ? "" : ` · p95 ${format(high[index])}`;
      setText(this.now, `${this.#moment(moments[index])} · ${format(means[index])} (${format(least[index])} to ${format(most[index])})${p95}`);
      return;
    }
    const last = this.#series?.points.at(-1);
    setText(this.now, last ? format(last.mean) : "–");
  }

  #moment(seconds) {
    return this.#series.step >= 3600 ? dateTime(seconds * 1000).replace(/:\d\d$/, "") : hour(seconds);
  }

  #options({ line, axis, faint }) {
    const format = formatOf(this.#unit);
    const hairline = { stroke: faint(0.35), width: 1, points: { show: false } };
    return {
      cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { size: 7, fill: line, stroke: line } },
      hooks: { setCursor: [(plot) => this.#readOut(plot.cursor.left >= 0 ? plot.cursor.idx : null)] },
      scales: { x: { range: () => this.#span() }, y: { range: (_, low, high) => [0, top(high, this.#unit)] } },
      pxAlign: 0,
      bands: [{ series: [1, 2], fill: faint(0.22) }],
      series: [
        {},
        hairline,
        hairline,
        { stroke: line, width: 1.6, points: { show: true, size: 5, fill: line, filter: (plot, at) => alone(plot.data[at]) } },
        { stroke: faint(0.8), width: 1, dash: [5, 4], points: { show: false } },
      ],
      axes: [
        { ...axis, grid: { show: false }, space: 60, size: 22, values: (_, moments, __, ___, step) => moments.map(step >= 86400 ? day : hour) },
        { ...axis, space: 30, size: 54, ...(STEPS[this.#unit] && { incrs: STEPS[this.#unit] }), values: (_, values) => values.map(format) },
      ],
    };
  }

  /** All of what was asked for, so that a gap at either end is seen. */
  #span() {
    const { since, until } = this.#series;
    return [Date.parse(since) / 1000, Date.parse(until) / 1000];
  }

  #renderTable() {
    if (!this.details.open || !this.#series) return;
    const { points, unit } = this.#series;
    const format = formatOf(unit);
    const lines = points.toReversed().map((point) => el("tr", {}, el("th", { scope: "row" }, dateTime(Date.parse(point.time))), ["mean", "min", "max", "p95"].map((name) => el("td", {}, point[name] == null ? "–" : format(point[name]))), el("td", {}, count(point.count))));
    const top = this.table.scrollTop;
    this.table.replaceChildren(el("table", { class: "data" }, el("caption", { class: "hidden" }, `${this.title}, newest first`), el("thead", {}, el("tr", {}, ["From", "Mean", "Least", "Most", "p95", "Samples"].map((each) => el("th", { scope: "col" }, each)))), el("tbody", {}, lines)));
    this.table.scrollTop = top;
  }
}

/** Columns for uPlot; where steps are missing, there is one without values, so that no line leads over it. */
function columns({ points, step }) {
  const found = [[], [], [], [], []];
  const add = (at, point) => [at, ...LINES.map((name) => point?.[name] ?? null)].forEach((value, index) => found[index].push(value));
  let before = null;
  for (const point of points) {
    const at = Date.parse(point.time) / 1000;
    if (before !== null && at - before > step * 1.5) add(before + step, null);
    add(at, point);
    before = at;
  }
  return found;
}

/** Which values have no neighbours: a line would not show them. */
function alone(values) {
  return values.flatMap((value, at) => (value != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
}

function top(high, unit) {
  if (!(high > 0)) return unit === "fraction" ? 0.1 : 1;
  return unit === "fraction" && high > 0.5 && high <= 1 ? 1.02 : high * 1.12;
}

const day = (seconds) => DAY.format(seconds * 1000);

function summary({ points, unit, agent }, title) {
  const who = agent == null ? "all agents" : clipped(agent);
  if (points.length === 0) return `${title} of ${who}: nothing recorded in this span.`;
  const format = formatOf(unit);
  const least = Math.min(...points.map((point) => point.min));
  const most = Math.max(...points.map((point) => point.max));
  return `${title} of ${who}: now ${format(points.at(-1).mean)}, between ${format(least)} and ${format(most)}.`;
}
