// Alerts: what is wrong now, what was, who is silenced, and the rules.

import { ask } from "./api.js";
import { AlertList } from "./alertlist.js";
import { Dialog } from "./dialog.js";
import { agentLink, bdi, clipped, el, empty, keyed, lasting, notice, setText, tell } from "./dom.js";
import { age, clock } from "./format.js";
import { Inquiry } from "./inquiry.js";
import { Rules } from "./rules.js";

const SPANS = [["15m", "15 minutes"], ["1h", "1 hour"], ["4h", "4 hours"], ["1d", "1 day"], ["7d", "7 days"]];
const HISTORY = 100;
const FRESH = 2000;

/** How many fire that nobody has acknowledged or silenced. */
export const urgent = (alerts) => alerts.filter(({ state, acknowledged, silenced }) => state === "firing" && !acknowledged && !silenced).length;

export class AlertsView {
  #store;
  #book;
  #history = new Inquiry("alerts", `registry/alerts?state=history&limit=${HISTORY}`, 30000);
  #heard = -1;

  /** *book* asks for the active alerts: it is shared with the number in the navigation. */
  constructor(section, store, book) {
    this.#store = store;
    this.#book = book;
    this.section = section;
    this.dialog = new Dialog();
    this.nothing = el("div", { hidden: true });
    this.active = new AlertList("No alerts", "No rule is broken.", [["Acknowledge", (alert) => this.#acknowledge(alert), ({ state, acknowledged }) => state === "firing" && !acknowledged], ["Silence", (alert) => this.#silence(alert), ({ silenced }) => !silenced]]);
    this.past = new AlertList("Nothing yet", "Alerts that are over show here.", []);
    this.silences = el("ul", { class: "card lines" });
    this.rules = new Rules(() => this.#book.ask());
    this.seen = el("div");
    this.#build();
    this.#book.addEventListener("change", () => this.#renderKnown());
    this.#history.addEventListener("change", () => this.past.show(this.#history.answer?.alerts ?? []));
  }

  #build() {
    const silence = el("button", { type: "button", click: () => this.#silence(null) }, "New silence");
    this.parts = [
      part("Active", this.active.element),
      part("Silences", this.silences, silence),
      part("Rules", this.rules.element),
      part("History", this.past.element),
    ];
    this.seenPart = part("Seen since this page was opened", this.seen);
    this.section.append(el("div", { class: "view-head" }, el("h1", {}, "Alerts")), this.nothing, ...this.parts, this.seenPart, this.dialog.element);
  }

  show() {
    this.#book.ask();
    this.#history.ask();
    this.#renderKnown();
    this.render();
  }

  render() {
    this.#book.keep(FRESH); // what may fire soon, and what is silenced, is no event
    this.#history.keep();
    if (this.#heard !== this.#store.alerts.added) {
      this.#heard = this.#store.alerts.added;
      this.#history.ask();
      this.#renderSeen();
    }
    tell(this.section, this.#store.now(), age);
  }

  // -- what the service knows --------------------------------------------------

  #renderKnown() {
    const { answer } = this.#book;
    if (answer === undefined) return;
    const words = answer === null ? ["Alerts are off", "This service keeps no alert rules. What it notices by itself shows below."] : answer.problem ? ["The alerts can't be shown", answer.problem.message] : null;
    this.nothing.hidden = !words;
    if (words) this.nothing.replaceChildren(empty(...words));
    for (const each of this.parts) each.hidden = Boolean(words);
    this.#renderSeen();
    if (words) return;
    this.active.show(answer.alerts ?? [], answer.count);
    this.rules.show(answer.rules ?? []);
    const silences = answer.silences ?? [];
    keyed(this.silences, silences.length ? silences : [{ id: "" }], ({ id }) => id, (each) => (each.id === "" ? el("li", { class: "none" }, "Nothing is silenced.") : this.#silenceLine(each)));
    tell(this.section, this.#store.now(), age);
  }

  #silenceLine({ id, rule, agent, until, by, reason }) {
    const whom = agent == null ? "all agents" : agentLink(agent, this.#store.nameOf(agent));
    const more = [by && `by ${by}`, reason].filter(Boolean).join(": ");
    const end = el("button", { type: "button", "aria-label": `End the silence of ${rule ?? "all rules"}`, click: () => this.#change("DELETE", `registry/alerts/silences/${encodeURIComponent(id)}`, undefined, "The silence has ended.") }, "End");
    return el("li", {}, el("strong", {}, bdi(clipped(rule ?? "all rules"))), el("span", {}, "for ", whom), el("span", { class: "soft" }, "ends in ", lasting(Date.parse(until), "until")), el("span", { class: "why" }, bdi(clipped(more))), end);
  }

  // -- what one can do ---------------------------------------------------------

  async #acknowledge(alert) {
    const said = await this.dialog.ask({ title: `Acknowledge ${clipped(alert.rule, 60)}`, text: "Others see that somebody takes care of it. It stays listed until it is over.", yes: "Acknowledge", fields: [{ name: "note", label: "Note", kind: "textarea", rows: 2, maxlength: 1000 }, this.#by()] });
    if (said) this.#change("POST", `registry/alerts/${encodeURIComponent(alert.id)}/acknowledge`, this.#filled(said), "The alert is acknowledged.");
  }

  async #silence(alert) {
    const said = await this.dialog.ask({ title: alert ? `Silence ${clipped(alert.rule, 60)}` : "New silence", text: "Nothing is told of what is silenced, until its time is over.", yes: "Silence", fields: [...this.#whom(alert), { name: "for", label: "For", kind: "select", options: SPANS, value: "1h" }, { name: "reason", label: "Reason", maxlength: 1000 }, this.#by()] });
    if (said) this.#change("POST", "registry/alerts/silences", this.#filled(split(said, alert)), "It is silenced.");
  }

  #whom(alert) {
    if (alert?.agent != null) {
      const name = clipped(alert.agent_name ?? alert.agent, 60);
      return [{ name: "scope", label: "What", kind: "select", value: "both", options: [["both", `${alert.rule} for ${name}`], ["rule", `${alert.rule} for all agents`], ["agent", `all rules for ${name}`]] }];
    }
    const rules = (this.#book.answer?.rules ?? []).map(({ name }) => [name, name]);
    return [{ name: "rule", label: "Rule", kind: "select", options: [["", "all rules"], ...rules], value: alert?.rule ?? "" }, { name: "agent", label: "Agent (its id; empty for all)" }];
  }

  #by() {
    return { name: "by", label: "Your name", value: this.name ?? "", maxlength: 200 };
  }

  /** What was filled in; the name is there again the next time. */
  #filled(values) {
    this.name = values.by;
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
  }

  async #change(method, path, body, done) {
    try {
      await ask(method, path, body);
      notice(done);
    } catch (problem) {
      notice(problem.message, "problem");
    }
    this.#book.ask();
  }

  // -- what the stream told ----------------------------------------------------

  /** Where the service keeps alerts, only those that it does not keep. */
  #renderSeen() {
    const keeps = Boolean(this.#book.answer?.alerts);
    const items = this.#store.alerts.items.filter(({ id }) => !(keeps && id)).reverse();
    this.seenPart.hidden = keeps && items.length === 0;
    const lines = items.map((alert) => el("li", { class: "alert seen", "data-state": alert.state ?? "firing" }, el("time", {}, clock(alert.at)), el("strong", {}, bdi(clipped(String(alert.alert ?? "alert")))), el("span", {}, bdi(clipped(String(alert.details ?? "")))), el("span", { class: "who" }, (alert.affected_agents ?? []).slice(0, 20).map((id) => agentLink(id, this.#store.nameOf(id))))));
    this.seen.replaceChildren(lines.length ? el("ol", { class: "card" }, lines) : empty("None", "An alert shows here the moment it is raised."));
  }
}

function part(title, content, ...more) {
  return el("div", { class: "part" }, el("div", { class: "part-head" }, el("h2", {}, title), more), content);
}

/** The parts of a silence, by what was chosen of an alert. */
function split({ scope, ...said }, alert) {
  if (scope === undefined) return said;
  return { ...said, rule: scope === "agent" ? "" : alert.rule, agent: scope === "rule" ? "" : alert.agent };
}
