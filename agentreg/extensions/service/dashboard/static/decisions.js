// What was decided and why, and what waits for an answer.

import { ask } from "./api.js";
import { bdi, clipped, el, empty, keyed, lasting, notice, setText, tell } from "./dom.js";
import { age, clock, count, dateTime, duration } from "./format.js";
import { Inquiry } from "./inquiry.js";

const MOST = 100;
const FRESH = 2000; // somebody may be waiting for the answer

export class DecisionsView {
  #store;
  #book;
  #records = new Inquiry("decisions", asked(null), 10000);

  /** *book* asks for what is pending: it is shared with the number in the navigation. */
  constructor(section, store, book) {
    this.#store = store;
    this.#book = book;
    this.section = section;
    this.nothing = el("div", { hidden: true });
    this.pending = el("ol", { class: "questions" });
    this.about = el("p", { class: "sub", hidden: true });
    this.list = el("ol", { class: "card decisions" });
    this.content = el("div", { hidden: true }, part("Pending", this.pending), part("Taken", this.about, this.list));
    section.append(el("div", { class: "view-head" }, el("h1", {}, "Decisions")), this.nothing, this.content);
    this.#book.addEventListener("change", () => this.#renderPending());
    this.#records.addEventListener("change", () => this.#renderTaken());
  }

  show(name) {
    this.about.hidden = name === null;
    this.about.replaceChildren("About ", bdi(clipped(name ?? "")), ". ", el("a", { href: "#/decisions" }, "Show all"));
    this.#records.aim(asked(name));
    this.#records.keep();
    this.#book.ask();
    this.#renderPending();
  }

  render() {
    this.#book.keep(FRESH);
    this.#records.keep();
    tell(this.pending, this.#store.now(), age);
  }

  #renderPending() {
    const { answer } = this.#book;
    if (answer === undefined) return;
    const words = answer === null ? ["Decisions are off", "This service decides nothing about names, resources, tools and connections."] : answer.problem ? ["The decisions can't be shown", answer.problem.message] : null;
    this.nothing.hidden = !words;
    this.content.hidden = Boolean(words);
    if (words) return this.nothing.replaceChildren(empty(...words));
    const pending = answer.pending ?? [];
    keyed(this.pending, pending.length ? pending : [{ id: "" }], ({ id }) => id, (each) => (each.id === "" ? el("li", {}, empty("Nothing is pending", "What a person has to decide shows here.")) : this.#question(each)));
    tell(this.pending, this.#store.now(), age);
  }

  #question({ id, kind, subject, question, choices, default: other, deadline }) {
    const reason = el("input", { "aria-label": "Reason", placeholder: "Reason (not needed)", maxlength: 1000, autocomplete: "off" });
    const until = Date.parse(deadline);
    const buttons = (choices ?? []).map((choice) => el("button", { type: "button", class: choice === other ? "primary" : null, click: (event) => this.#answer(event.target, id, choice, reason.value.trim()) }, words(choice)));
    const wait = Number.isFinite(until) ? el("p", { class: "soft" }, "Without an answer, ", el("strong", {}, other == null ? "nothing" : words(other)), " is chosen in ", lasting(until, "until"), ".") : null;
    return el("li", { class: "card question" }, el("p", {}, el("span", { class: "tag" }, words(kind)), " ", el("strong", {}, bdi(clipped(String(subject ?? ""))))), el("p", { class: "asks" }, bdi(clipped(String(question ?? ""), 2000))), el("div", { class: "choices", role: "group", "aria-label": "Choices" }, buttons, reason), wait);
  }

  async #answer(button, id, choice, reason) {
    const all = [...button.closest(".question").querySelectorAll("button")];
    for (const each of all) each.disabled = true; // one answer is enough
    try {
      await ask("POST", `registry/decisions/${encodeURIComponent(id)}/answer`, { choice, ...(reason && { reason }) });
      notice(`Answered: ${words(choice)}.`);
    } catch (problem) {
      for (const each of all) each.disabled = false;
      notice(problem.message, "problem");
    }
    this.#book.ask();
    this.#records.ask();
  }

  #renderTaken() {
    const { answer } = this.#records;
    if (!answer?.decisions) return;
    showDecisions(this.list, answer.decisions);
  }
}

/** Where decisions are asked for: about one name, or all. */
export function asked(name, limit = MOST) {
  return `registry/decisions?${new URLSearchParams({ limit, ...(name !== null && { name }) })}`;
}

/** Show decisions in *list*, the last first. */
export function showDecisions(list, decisions) {
  const items = decisions.map((each, at) => ({ ...each, key: `${each.time} ${each.kind} ${each.subject} ${at}` })).toSorted((one, other) => Date.parse(other.time) - Date.parse(one.time));
  keyed(list, items.length ? items : [{ key: "" }], ({ key }) => key, (item) => (item.key === "" ? el("li", { class: "none" }, "None was needed.") : decision(item)));
}

function decision({ time, kind, subject, strategy, choice, reason, alternatives, by, steps }) {
  const moment = Date.parse(time);
  const said = [strategy && words(strategy), by && `by ${by}`, alternatives?.length ? `instead of ${alternatives.map(words).join(", ")}` : ""].filter(Boolean).join(" · ");
  return el(
    "li",
    { class: "decision" },
    el("time", { datetime: time, title: dateTime(moment) }, Date.now() - moment > 86400000 ? dateTime(moment) : clock(moment)),
    el("div", {}, el("p", {}, el("span", { class: "tag" }, words(kind)), " ", el("a", { href: `#/decisions/${encodeURIComponent(subject ?? "")}` }, bdi(clipped(String(subject ?? "")))), ": ", el("strong", {}, bdi(words(choice)))), el("p", {}, bdi(clipped(String(reason ?? ""), 2000))), said ? el("p", { class: "soft" }, bdi(clipped(said, 500))) : null, taken(steps)),
  );
}

/** The steps of a registration or deregistration. */
function taken(steps) {
  if (!steps?.length) return null;
  const lines = steps.map(({ name, outcome, seconds, detail }) => el("li", {}, el("span", {}, bdi(words(name))), el("span", { class: "tag" }, words(outcome)), el("span", { class: "soft" }, seconds == null ? "" : duration(seconds)), el("span", { class: "why" }, bdi(clipped(String(detail ?? ""))))));
  return el("details", {}, el("summary", {}, `${count(steps.length)} steps`), el("ol", { class: "steps" }, lines));
}

const words = (name) => clipped(String(name ?? "").replaceAll("_", " "), 80);

function part(title, ...content) {
  return el("div", { class: "part" }, el("h2", {}, title), ...content);
}
