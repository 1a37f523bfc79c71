// Who owns the agents: for each runtime, how many there are of each status, and when it was heard of.

import { get } from "./api.js";
import { bdi, clipped, el, empty, setText } from "./dom.js";
import { age, count, counted } from "./format.js";
import { STATUSES } from "./row.js";

const FRESH = 10000;

export class RuntimesView {
  #store;
  #heard = new Map();
  #asked = 0;
  #drawn = "";
  #ages = [];

  constructor(section, store) {
    this.#store = store;
    this.summary = el("p", { class: "sub" });
    this.list = el("div", { class: "cards" });
    section.append(el("h1", {}, "Runtimes"), this.summary, this.list);
  }

  show() {
    this.#asked = 0;
    this.render();
  }

  render() {
    if (Date.now() - this.#asked > FRESH && !document.hidden) this.#ask();
    const key = `${this.#store.version} ${this.#store.listed}`;
    if (key !== this.#drawn) {
      this.#drawn = key;
      this.#renderCards();
    }
    for (const [element, name] of this.#ages) setText(element, this.#said(name));
  }

  /** Heartbeats are no events: they are asked for. */
  async #ask() {
    this.#asked = Date.now();
    const answer = await get("agents").catch(() => null);
    if (!answer) return;
    this.#heard = new Map(answer.agents.map((agent) => [agent.id, agent.last_heartbeat * 1000]));
    this.render();
  }

  #renderCards() {
    const groups = Map.groupBy ? Map.groupBy(this.#store.rows.values(), (row) => row.runtime) : grouped(this.#store.rows.values());
    const names = [...groups.keys()].sort();
    setText(this.summary, `${counted(names.length, "runtime")}. A runtime is a process that owns agents; those that register over HTTP belong to “service”.`);
    this.#ages = [];
    const cards = names.map((name) => this.#card(name, groups.get(name)));
    this.list.replaceChildren(...(cards.length || !this.#store.listed ? cards : [empty("No runtime", "No agent is registered.")]));
  }

  #card(name, rows) {
    const heard = el("dd", {});
    this.#ages.push([heard, name]);
    const hosts = [...new Set(rows.map((row) => row.host).filter(Boolean))];
    const tasks = rows.reduce((sum, row) => sum + (row.isThere ? row.tasks : 0), 0);
    const facts = [["Hosts", clipped(hosts.slice(0, 3).join(", ") + (hosts.length > 3 ? ` and ${hosts.length - 3} more` : ""))], ["Tasks", count(tasks)]];
    return el(
      "article",
      { class: "card runtime" },
      el("h2", {}, bdi(clipped(name || "no name", 120))),
      shares(rows),
      el("ul", { class: "counts" }, counts(rows).map(([status, number]) => el("li", { class: "status", "data-status": status }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, `${count(number)} ${status}`)))),
      el("dl", { class: "facts" }, facts.map(([title, value]) => el("div", {}, el("dt", {}, title), el("dd", {}, bdi(value || "–")))), el("div", {}, el("dt", {}, "Last heartbeat"), heard)),
    );
  }

  #said(name) {
    let last = -Infinity;
    for (const row of this.#store.rows.values()) {
      if (row.runtime === name) last = Math.max(last, this.#heard.get(row.id) ?? (Date.parse(row.record.last_heartbeat) || -Infinity));
    }
    return Number.isFinite(last) ? `${age(this.#store.now() - last)} ago` : "–";
  }
}

function grouped(rows) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row.runtime)) groups.set(row.runtime, []);
    groups.get(row.runtime).push(row);
  }
  return groups;
}

function counts(rows) {
  return STATUSES.map((status) => [status, rows.filter((row) => row.status === status).length]).filter(([, number]) => number);
}

function shares(rows) {
  const bar = el("div", { class: "shares", "aria-hidden": "true" });
  for (const [status, number] of counts(rows)) {
    const share = el("span", { "data-status": status });
    share.style.flexGrow = number;
    bar.append(share);
  }
  return bar;
}
