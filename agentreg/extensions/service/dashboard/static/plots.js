// Plots over time, drawn by uPlot (vendor/), in the colours of the page.

import { el } from "./dom.js";

/** Where uPlot draws: as wide as there is room, anew when the colours change. `options(inks)` gives what uPlot wants. */
export class Canvas {
  #plot = null;
  #data = null;
  #options;

  constructor({ colour, height, options }) {
    this.height = height;
    this.#options = options;
    this.probe = el("span", { class: `probe ${colour}`, "aria-hidden": "true" });
    this.grid = el("span", { class: "probe grid", "aria-hidden": "true" });
    this.place = el("div", { class: "plot-canvas" });
    this.place.style.minHeight = `${height}px`;
    this.element = el("div", { "aria-hidden": "true" }, this.place, this.probe, this.grid);
    new ResizeObserver(() => this.#fit()).observe(this.place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    document.addEventListener("themechange", () => this.redraw());
  }

  /** Draw columns of numbers: the moments in seconds first. */
  show(data) {
    this.#data = data;
    this.#draw();
  }

  /** Draw anew, with the colours as they are now. */
  redraw() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#draw();
  }

  #draw() {
    if (this.#plot) this.#plot.setData(this.#data);
    else if (this.place.clientWidth > 0 && this.#data?.[0].length) this.#plot = new globalThis.uPlot(this.#made(), this.#data, this.place);
  }

  #fit() {
    const width = this.place.clientWidth;
    if (!this.#plot) this.#draw();
    else if (width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: this.height });
  }

  #made() {
    const line = getComputedStyle(this.probe).color;
    const { color: ink, backgroundColor: rule, fontFamily } = getComputedStyle(this.grid);
    const axis = { stroke: ink, font: `11px ${fontFamily}`, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
    const options = this.#options({ line, axis, faint: (share) => line.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`) });
    return { width: this.place.clientWidth, height: this.height, legend: { show: false }, padding: [6, 6, 0, 0], ...options };
  }
}

/** One line. `show(points)` draws [[milliseconds, value or null], ...]; a plot without values is hidden. */
export class Plot {
  #drawn = "";

  constructor({ title, format, colour, steps, height = 92 }) {
    this.format = format;
    this.steps = steps;
    this.now = el("span", { class: "plot-now" }, "–");
    this.canvas = new Canvas({ colour, height, options: (inks) => this.#options(inks) });
    this.element = el("figure", { class: "plot" }, el("figcaption", {}, el("span", {}, title), this.now), this.canvas.element);
  }

  show(points) {
    const last = points.findLast(([, value]) => value != null);
    const key = `${points.length} ${points[0]?.[0]} ${points.at(-1)?.[0]} ${last?.[1]}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.element.hidden = !last;
    this.now.textContent = last ? this.format(last[1]) : "–";
    this.canvas.show([points.map(([at]) => at / 1000), points.map(([, value]) => value ?? null)]);
  }

  #options({ line, axis, faint }) {
    return {
      cursor: { show: false },
      scales: { x: { range: spread }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.15 : 1] } },
      series: [{}, { stroke: line, width: 1.75, fill: faint(0.12), spanGaps: true, points: { show: (plot) => plot.data[0].length < 3, size: 5, fill: line } }],
      axes: [
        { ...axis, grid: { show: false }, space: 64, size: 22, values: (_, moments) => moments.map(hour) },
        { ...axis, space: 26, size: 54, ...(this.steps && { incrs: this.steps }), values: (_, values) => values.map(this.format) },
      ],
    };
  }
}

/** A single moment gets some room, so that it can be seen. */
function spread(_, from, to) {
  return to - from < 10 ? [from - 5, to + 5] : [from, to];
}

/** The time of day, as axes say it. */
export function hour(seconds) {
  const moment = new Date(seconds * 1000);
  const parts = [moment.getHours(), moment.getMinutes(), ...(moment.getSeconds() ? [moment.getSeconds()] : [])];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}
