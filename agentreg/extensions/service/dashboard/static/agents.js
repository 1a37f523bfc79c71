// The live table: everyone who is there, sorted, filtered and searched.

import { clipped, el, setAttribute, setText } from "./dom.js";
import { age, bytes, count, counted } from "./format.js";
import { STATUSES } from "./row.js";
import { Detail } from "./detail.js";
import { Table, textual } from "./table.js";
import { churn } from "./chart.js";

const home = (path) => path.replace(/^\/(home|Users)\/[^/]+(?=\/|$)/, "~");

export class AgentsView {
  #store;
  #wanted = { text: "", runtime: "", statuses: new Set() };
  #sorted = { column: "age", down: false };
  #shownVersion = -1;
  #runtimes = "";

  constructor(section, store) {
    this.#store = store;
    this.section = section;
    this.detail = new Detail(store);
    this.table = new Table({ label: "Agents", columns: this.#columns(), open: (row) => this.#go(row.id), sort: (column) => this.#sort(column) });
    this.#build();
  }

  #columns() {
    return [
      { name: "status", title: "Status", fill: statusCell },
      { name: "name", title: "Name", fill: nameCell },
      { name: "runtime", title: "Runtime", fill: textual((row) => clipped(row.runtime)) },
      { name: "host", title: "Host", fill: textual((row) => clipped(row.host)) },
      { name: "cwd", title: "Directory", fill: textual((row) => home(clipped(row.cwd))) },
      { name: "age", title: "Age", fill: plain((row) => age(this.#store.now() - row.created)), live: true },
      { name: "tasks", title: "Tasks", fill: plain((row) => (row.most ? `${count(row.tasks)} / ${count(row.most)}` : count(row.tasks))) },
      { name: "load", title: "Load", fill: loadCell },
    ];
  }

  #build() {
    this.search = el("input", { type: "search", id: "search", placeholder: "Search", "aria-label": "Search agents", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false", input: () => this.#filter({ text: this.search.value.trim().toLowerCase() }) });
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Statuses" });
    this.chipOf = new Map(STATUSES.map((status) => [status, this.#chip(status)]));
    this.chips.append(...this.chipOf.values());
    this.runtime = el("select", { id: "runtime", "aria-label": "Runtime", change: () => this.#filter({ runtime: this.runtime.value }) }, el("option", { value: "" }, "All runtimes"));
    this.clear = el("button", { type: "button", class: "quiet", hidden: true, click: () => this.#reset() }, "Clear");
    this.result = el("p", { class: "result", role: "status", "aria-live": "polite" });
    this.tiles = tiles();
    this.nobody = el("div", { class: "empty", hidden: true }, el("p", { class: "empty-title" }), el("p", {}));
    const finder = el("div", { class: "finder" }, this.search, el("kbd", { "aria-hidden": "true" }, "/"));
    const tools = el("div", { class: "tools", role: "search" }, finder, this.chips, this.runtime, this.clear, this.result);
    const list = el("div", { class: "list card" }, tools, this.table.element, this.nobody);
    this.section.append(el("h1", { class: "hidden" }, "Agents"), this.tiles.element, el("div", { class: "split" }, list, this.detail.element));
  }

  #chip(status) {
    const number = el("span", { class: "number" }, "0");
    const chip = el("button", { type: "button", class: "chip", "data-status": status, "aria-pressed": "false", hidden: true }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, status), number);
    chip.addEventListener("click", () => this.#toggle(status));
    return chip;
  }

  // -- what is asked for ------------------------------------------------------

  #toggle(status) {
    const statuses = new Set(this.#wanted.statuses);
    if (!statuses.delete(status)) statuses.add(status);
    this.#filter({ statuses });
  }

  #filter(change) {
    this.#wanted = { ...this.#wanted, ...change };
    this.table.element.scrollTop = 0;
    this.#renew();
  }

  #reset() {
    this.search.value = this.runtime.value = "";
    this.#filter({ text: "", runtime: "", statuses: new Set() });
    this.search.focus();
  }

  #sort(column) {
    const again = this.#sorted.column === column;
    this.#sorted = { column, down: again ? !this.#sorted.down : column === "tasks" || column === "load" };
    this.#renew();
  }

  #renew() {
    this.#shownVersion = -1;
    this.render();
  }

  #matches(row) {
    const { text, runtime, statuses } = this.#wanted;
    return (statuses.size === 0 || statuses.has(row.status)) && (runtime === "" || row.runtime === runtime) && (text === "" || text.split(/\s+/).every((word) => row.haystack.includes(word)));
  }

  #chosen() {
    const { column, down } = this.#sorted;
    const way = down ? -1 : 1;
    const compare = (one, other) => way * order(one.key(column), other.key(column)) || order(one.key("name"), other.key("name")) || order(one.id, other.id);
    return [...this.#store.rows.values()].filter((row) => this.#matches(row)).sort(compare);
  }

  // -- showing ----------------------------------------------------------------

  show(id) {
    if (!id && this.detail.id) this.table.focus();
    this.detail.show(id);
    this.section.classList.toggle("has-detail", Boolean(id));
    if (id) {
      this.table.activate(id);
      this.detail.focus();
    }
    this.render();
  }

  /** Close the detail; whether one was open. */
  close() {
    if (!this.detail.id) return false;
    location.hash = "#/agents";
    return true;
  }

  #go(id) {
    location.hash = `#/agents/${encodeURIComponent(id)}`;
  }

  render() {
    if (this.#shownVersion !== this.#store.version) {
      this.#shownVersion = this.#store.version;
      this.#renderRows();
      this.#renderChips();
      this.#renderRuntimes();
    }
    this.table.plan(); // ages go on
    this.tiles.render(this.#store);
    this.detail.render();
  }

  #renderRows() {
    const rows = this.#chosen();
    const total = this.#store.rows.size;
    this.table.show(rows, this.#sorted);
    const all = rows.length === total;
    setText(this.result, all ? counted(total, "agent") : `${count(rows.length)} of ${counted(total, "agent")}`);
    this.clear.hidden = !(this.#wanted.text || this.#wanted.runtime || this.#wanted.statuses.size);
    this.nobody.hidden = rows.length > 0 || !this.#store.listed;
    setText(this.nobody.firstChild, total === 0 ? "No agent is registered" : "No agent matches");
    setText(this.nobody.lastChild, total === 0 ? "Try: agentreg run scout -- sleep 60" : "Change the search or the filters.");
  }

  #renderChips() {
    const counts = new Map();
    for (const row of this.#store.rows.values()) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
    for (const [status, chip] of this.chipOf) {
      const isWanted = this.#wanted.statuses.has(status);
      chip.hidden = !counts.has(status) && !isWanted;
      setAttribute(chip, "aria-pressed", isWanted);
      setText(chip.lastChild, count(counts.get(status) ?? 0));
    }
  }

  #renderRuntimes() {
    const names = [...new Set([...this.#store.rows.values()].map((row) => row.runtime))].sort();
    const said = names.join("\n");
    if (said === this.#runtimes) return;
    this.#runtimes = said;
    const options = names.map((name) => el("option", { value: name }, clipped(name, 60)));
    this.runtime.replaceChildren(this.runtime.firstChild, ...options);
    this.runtime.value = names.includes(this.#wanted.runtime) ? this.#wanted.runtime : "";
    if (this.runtime.value !== this.#wanted.runtime) this.#filter({ runtime: "" });
  }
}

const order = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

// -- cells --------------------------------------------------------------------

function plain(of) {
  return (cell) => (row) => setText(cell, of(row));
}

function statusCell(cell) {
  const word = el("span");
  const mark = el("span", { class: "status" }, el("span", { class: "dot", "aria-hidden": "true" }), word);
  cell.append(mark);
  return (row) => {
    setAttribute(mark, "data-status", row.status);
    setText(word, row.status);
  };
}

function nameCell(cell) {
  const name = el("bdi", { dir: "auto" });
  const link = el("a", { tabindex: -1 }, name);
  const where = el("bdi", { dir: "auto", class: "where" });
  cell.append(link, where);
  return (row) => {
    setText(name, clipped(row.name));
    setText(where, clipped([row.host, home(row.cwd)].filter(Boolean).join(" · ")));
    setAttribute(link, "href", `#/agents/${encodeURIComponent(row.id)}`);
    setAttribute(cell, "title", clipped(row.name));
  };
}

function loadCell(cell) {
  const bar = el("span", { class: "bar-fill" });
  const word = el("span", { class: "percent" });
  cell.append(el("span", { class: "load" }, el("span", { class: "bar-track", "aria-hidden": "true" }, bar), word));
  return (row) => {
    const percent = Math.round(row.load * 100);
    bar.style.width = `${Math.min(percent, 100)}%`;
    setAttribute(bar, "data-level", percent >= 90 ? "high" : percent >= 70 ? "raised" : "fine");
    setText(word, row.most ? `${percent} %` : "–");
  };
}

// -- the figures above the table ----------------------------------------------

function tiles() {
  const figures = new Map(["Agents", "Runtimes", "Tasks", "Memory in use"].map((title) => [title, el("dd", {})]));
  const boxes = [...figures].map(([title, value]) => el("div", { class: "tile" }, el("dt", {}, title), value));
  const chart = churn();
  const element = el("div", { class: "tiles" }, el("dl", {}, boxes), el("figure", { class: "tile" }, el("figcaption", {}, "Joined and left, last hour"), chart.element));
  let version = -1;
  const render = (store) => {
    chart.render(store);
    if (version === store.version) return;
    version = store.version;
    for (const [title, text] of Object.entries(summed(store.rows.values()))) setText(figures.get(title), text);
  };
  return { element, render };
}

function summed(rows) {
  const runtimes = new Set();
  let there = 0;
  let tasks = 0;
  let memory = 0;
  for (const row of rows) {
    if (!row.isThere) continue;
    there += 1;
    tasks += row.tasks;
    memory += row.memory ?? 0;
    runtimes.add(row.runtime);
  }
  return { Agents: count(there), Runtimes: count(runtimes.size), Tasks: count(tasks), "Memory in use": memory ? bytes(memory) : "–" };
}
