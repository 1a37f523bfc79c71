// Who joined and who left, the last first.

import { bdi, el, empty, setText } from "./dom.js";
import { clock, counted, dateTime } from "./format.js";
import { churn } from "./chart.js";

const MOST = 300;
const DAY = 86400000;

export class TimelineView {
  #store;
  #drawn = -1;

  constructor(section, store) {
    this.#store = store;
    this.chart = churn({ height: 120 });
    this.summary = el("p", { class: "sub" });
    this.list = el("ol", { class: "moves" });
    const legend = el("p", { class: "legend" }, el("span", { class: "key joined" }, "joined"), el("span", { class: "key left" }, "left"), el("span", { class: "ends" }, "an hour ago to now"));
    section.append(el("h1", {}, "Time line"), this.summary, el("figure", { class: "card wide-chart" }, el("figcaption", {}, "Agents that joined and left, by the minute"), this.chart.element, legend), el("div", { class: "card" }, this.list));
  }

  show() {
    this.render();
  }

  render() {
    this.chart.render(this.#store);
    const { items, added } = this.#store.moves;
    if (added === this.#drawn) return;
    this.#drawn = added;
    const moves = items.slice(-MOST).reverse();
    setText(this.summary, moves.length ? `The last ${counted(moves.length, "move")}. What lies before this page was opened comes from the records that are there.` : "");
    const now = this.#store.now();
    this.list.replaceChildren(...(moves.length ? moves.map((move) => line(move, now)) : [el("li", {}, empty("Nothing yet", "Here you will see who joins and who leaves."))]));
  }
}

function line({ kind, at, reason, id, name, runtime }, now) {
  const when = now - at > DAY ? dateTime(at) : clock(at);
  return el(
    "li",
    { class: "move", "data-kind": kind },
    el("time", { datetime: new Date(at).toISOString() }, when),
    el("span", { class: "kind" }, kind),
    el("a", { href: `#/agents/${encodeURIComponent(id)}` }, bdi(name)),
    el("span", { class: "why" }, bdi([runtime, reason].filter(Boolean).join(" · "))),
  );
}
