// Who has which part of memory and cores, who waits for some, and what is advised.

import { agentLink, bdi, clipped, el, empty, keyed, lasting, setText, tell } from "./dom.js";
import { age, bytes, clock, count, counted, dateTime, percent } from "./format.js";
import { HostCard, PRIORITIES } from "./hosts.js";
import { Inquiry } from "./inquiry.js";

const MOST = 100;
const DRAWN = 24; // hosts; the others are counted

export class ResourcesView {
  #store;
  #inquiry = new Inquiry("resources", "registry/resources", 5000);
  #cards = new Map();
  #version = -1;

  constructor(section, store) {
    this.#store = store;
    this.section = section;
    this.nothing = el("div", { hidden: true });
    this.tiles = new Map(["Budget", "Given away", "CPU", "Waiting"].map((title) => [title, el("dd", {}, "–")]));
    this.hosts = el("div", { class: "hosts" });
    this.more = el("p", { class: "more", hidden: true });
    this.waiting = el("ol", { class: "card lines" });
    this.advice = el("ol", { class: "card lines" });
    this.proposal = el("div", { class: "card proposal" });
    const tiles = el("dl", { class: "tiles" }, [...this.tiles].map(([title, value]) => el("div", { class: "tile" }, el("dt", {}, title), value)));
    const legend = el("p", { class: "legend", "aria-hidden": "true" }, [...PRIORITIES, "free"].map((kind) => el("span", { class: "key", "data-kind": kind }, kind)));
    const columns = el("div", { class: "pair" }, part("Waiting", this.waiting), part("Scaling advice", this.advice));
    this.content = el("div", { hidden: true }, tiles, el("div", { class: "part-head" }, el("h2", {}, "Hosts"), legend), this.hosts, this.more, columns, part("Repacking", this.proposal));
    section.append(el("div", { class: "view-head" }, el("h1", {}, "Resources")), this.nothing, this.content);
    this.#inquiry.addEventListener("change", () => this.#renderAnswer());
  }

  show() {
    this.#inquiry.ask();
    this.render();
  }

  render() {
    if (this.#version !== this.#store.rows.size) {
      this.#version = this.#store.rows.size; // who joins or leaves takes or frees a share
      this.#inquiry.ask();
    }
    this.#inquiry.keep();
    tell(this.section, this.#store.now(), age);
  }

  #renderAnswer() {
    const { answer } = this.#inquiry;
    const words = answer === null ? ["Resources are off", "This service keeps no budget of memory and cores."] : answer.problem ? ["The resources can't be shown", answer.problem.message] : null;
    this.nothing.hidden = !words;
    this.content.hidden = Boolean(words);
    if (words) return this.nothing.replaceChildren(empty(...words));
    this.#renderTiles(answer);
    this.#renderHosts(answer.hosts ?? []);
    lines(this.waiting, answer.waiting ?? [], "Nobody waits.", waitingLine);
    lines(this.advice, answer.advice ?? [], "There is enough, and not too much.", adviceLine);
    this.#renderProposal(answer.proposal);
    tell(this.section, this.#store.now(), age);
  }

  #renderTiles({ budget, utilization, waiting }) {
    setText(this.tiles.get("Budget"), budget?.memory == null ? "none" : `${bytes(budget.memory)}${budget.reserved ? `, ${bytes(budget.reserved)} reserved` : ""}`);
    setText(this.tiles.get("Given away"), utilization?.memory == null ? (utilization?.memory_text ?? "–") : percent(utilization.memory));
    setText(this.tiles.get("CPU"), utilization?.cpu == null ? "–" : `${percent(utilization.cpu)} of ${counted(budget?.cpu ?? 0, "core")}`);
    setText(this.tiles.get("Waiting"), count(waiting?.length ?? 0));
  }

  #renderHosts(hosts) {
    const names = new Set(hosts.map(({ name }) => name));
    for (const name of this.#cards.keys()) if (!names.has(name)) this.#cards.delete(name);
    const drawn = hosts.slice(0, DRAWN);
    for (const { name } of drawn) if (!this.#cards.has(name)) this.#cards.set(name, new HostCard((id) => (location.hash = `#/agents/${encodeURIComponent(id)}`)));
    const elements = drawn.map(({ name }) => this.#cards.get(name).element);
    if (elements.some((element, at) => this.hosts.children[at] !== element) || this.hosts.children.length !== elements.length) this.hosts.replaceChildren(...elements);
    for (const host of drawn) this.#cards.get(host.name).show(host);
    this.more.hidden = hosts.length <= DRAWN;
    setText(this.more, `and ${counted(hosts.length - DRAWN, "more host")}`);
  }

  #renderProposal(proposal) {
    const moves = proposal?.moves ?? [];
    if (moves.length === 0) return this.proposal.replaceChildren(el("p", { class: "none" }, "What is free lies together well enough."));
    const list = el("ol", { class: "lines" }, moves.slice(0, MOST).map(({ agent, from, to }) => el("li", {}, el("strong", {}, bdi(clipped(agent))), el("span", { class: "soft" }, bdi(clipped(from)), " → ", bdi(clipped(to))))), restOf(moves));
    this.proposal.replaceChildren(el("p", { class: "intro" }, `${counted(moves.length, "move")} would put together what is free. Nothing moves until the program that runs the agents applies it.`), list);
  }
}

function part(title, content) {
  return el("div", { class: "part" }, el("h2", {}, title), content);
}

function lines(list, items, none, make) {
  const shown = items.slice(0, MOST).map((item, at) => ({ ...item, at }));
  keyed(list, shown.length ? shown : [{ at: "none" }], ({ at }) => at, (item) => (item.at === "none" ? el("li", { class: "none" }, none) : make(item)));
  if (items.length > MOST) list.append(restOf(items));
}

function restOf(items) {
  return items.length > MOST ? el("li", { class: "none" }, `and ${count(items.length - MOST)} more`) : null;
}

function waitingLine({ agent_id: id, agent, memory, priority, since, reason }) {
  return el("li", {}, el("strong", {}, agentLink(id, agent)), el("span", {}, bytes(memory)), el("span", { class: "key", "data-kind": priority }, priority), el("span", { class: "soft" }, "for ", lasting(Date.parse(since))), el("span", { class: "why" }, bdi(clipped(reason ?? ""))));
}

function adviceLine({ time, direction, amount, reason }) {
  const moment = Date.parse(time);
  const much = typeof amount === "number" ? bytes(amount) : String(amount ?? "");
  return el("li", {}, el("strong", {}, `${direction === "up" ? "↑" : "↓"} ${direction} ${much}`), el("time", { class: "soft", datetime: time, title: dateTime(moment) }, clock(moment)), el("span", { class: "why" }, bdi(clipped(reason ?? ""))));
}
