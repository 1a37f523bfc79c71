// The view of what the service has recorded: all agents together, or one.

import { clipped, el, setText } from "./dom.js";
import { Panels } from "./panels.js";

const OFFERED = 30;

export class MetricsView {
  #store;
  #agent = null;

  constructor(section, store) {
    this.#store = store;
    this.panels = new Panels(store, { height: 180 });
    this.names = el("datalist", { id: "metrics-names" });
    this.agent = el("input", { type: "search", id: "metrics-agent", list: "metrics-names", placeholder: "All agents", autocomplete: "off", spellcheck: "false", input: () => this.#offer(), change: () => this.#choose(), search: () => this.#choose() });
    this.problem = el("p", { class: "problem", role: "alert" });
    const chooser = el("p", { class: "chooser" }, el("label", { for: "metrics-agent" }, "Agent"), this.agent, this.names);
    this.title = el("p", { class: "sub", role: "status" });
    section.append(el("div", { class: "view-head" }, el("h1", {}, "Metrics"), chooser), this.title, this.problem, this.panels.element);
  }

  show(id) {
    this.#agent = id;
    this.agent.value = id === null ? "" : this.#labelOf(id);
    setText(this.problem, "");
    this.panels.show(id);
    this.render();
  }

  render() {
    const who = this.#agent === null ? "All agents together" : this.#store.nameOf(this.#agent);
    setText(this.title, this.panels.isOn === false ? "" : `${clipped(who)}. It goes on with every round of samples.`);
    this.panels.render();
  }

  // -- which agent ------------------------------------------------------------

  #offer() {
    const text = this.agent.value.trim().toLowerCase();
    const found = [];
    for (const row of text ? this.#store.rows.values() : []) {
      if (row.name.toLowerCase().includes(text) || row.id.toLowerCase() === text) found.push(row);
      if (found.length === OFFERED) break;
    }
    this.names.replaceChildren(...found.map((row) => el("option", { value: this.#labelOf(row.id) })));
  }

  #choose() {
    const text = this.agent.value.trim();
    const id = text === "" ? null : this.#idOf(text);
    setText(this.problem, id === undefined ? `No agent is called ${clipped(text, 80)}.` : "");
    if (id !== undefined) location.hash = id === null ? "#/metrics" : `#/metrics/${encodeURIComponent(id)}`;
  }

  /** What an agent is chosen by: its name, and its id if others have the same name. */
  #labelOf(id) {
    const name = this.#store.nameOf(id);
    for (const row of this.#store.rows.values()) if (row.name === name && row.id !== id) return `${name} · ${id}`;
    return name;
  }

  #idOf(text) {
    if (this.#store.rows.has(text)) return text;
    for (const row of this.#store.rows.values()) if (text === row.name || text === `${row.name} · ${row.id}`) return row.id;
    return undefined;
  }
}
