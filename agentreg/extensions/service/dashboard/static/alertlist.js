// A list of alerts, what is worst first.

import { agentLink, bdi, clipped, el, empty, keyed, lasting } from "./dom.js";
import { count, dateTime, duration, percent } from "./format.js";

const MOST = 200;
const ORDER = { firing: 0, pending: 1, resolved: 2 };
const WORDS = { firing: "error", pending: "stale", resolved: "stopped" };

/** `show(alerts, total)`; each line has the buttons [title, click(alert), fits(alert)] that fit. */
export class AlertList {
  #buttons;

  constructor(title, text, buttons) {
    this.#buttons = buttons;
    this.none = empty(title, text);
    this.list = el("ol", { class: "card alerts-list" });
    this.more = el("p", { class: "more", hidden: true });
    this.element = el("div", {}, this.none, this.list, this.more);
  }

  show(alerts, total = alerts.length) {
    const sorted = alerts.toSorted((one, other) => rank(one) - rank(other) || began(other) - began(one));
    const shown = sorted.slice(0, MOST);
    this.none.hidden = shown.length > 0;
    this.list.hidden = shown.length === 0;
    this.more.hidden = total <= shown.length;
    this.more.textContent = `and ${count(total - shown.length)} more`;
    keyed(this.list, shown, ({ id }) => id, (alert) => this.#line(alert));
  }

  #line(alert) {
    const { state, rule, expression, severity, agent, agent_name: name, acknowledged, silenced } = alert;
    const mark = el("span", { class: "status", "data-status": WORDS[state] ?? "stale" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, state));
    const who = agent == null ? el("span", { class: "soft" }, "all agents") : agentLink(agent, name);
    const tags = [severity && severity !== "warning" && severity, silenced && "silenced", acknowledged && "acknowledged"].filter(Boolean);
    const buttons = this.#buttons.filter(([, , fits]) => state !== "resolved" && fits(alert)).map(([title, click]) => el("button", { type: "button", "aria-label": `${title} ${clipped(rule, 60)}${agent == null ? "" : ` of ${clipped(name ?? agent, 60)}`}`, click: () => click(alert) }, title));
    return el(
      "li",
      { class: "alert", "data-state": state },
      mark,
      el("div", { class: "alert-what" }, el("p", {}, el("strong", {}, bdi(clipped(rule))), " ", tags.map((each) => el("span", { class: "tag" }, each))), el("code", {}, bdi(clipped(expression ?? ""))), note(acknowledged), ending(alert)),
      el("div", { class: "who" }, who),
      el("div", { class: "alert-value" }, el("strong", {}, bdi(clipped(worth(alert)))), el("span", { class: "soft" }, state === "resolved" ? dateTime(began(alert)) : ["for ", lasting(began(alert))])),
      el("div", { class: "actions" }, buttons),
    );
  }
}

/** The value in few digits, where its text shows what it is. */
function worth({ value, value_text: text }) {
  if (typeof value !== "number" || !/^[\d.]+(%|s)$/.test(text ?? "")) return text ?? String(value ?? "–");
  return text.endsWith("%") ? percent(value) : duration(value);
}

const rank = ({ state, acknowledged, silenced }) => (ORDER[state] ?? 3) * 2 + (acknowledged || silenced ? 1 : 0);
const began = (alert) => Date.parse(alert.fired_at ?? alert.since);

function note(acknowledged) {
  if (!acknowledged) return null;
  const { by, at, note: text } = acknowledged;
  return el("p", { class: "soft" }, bdi(clipped([`acknowledged ${dateTime(Date.parse(at))}`, by && `by ${by}`].filter(Boolean).join(" ") + (text ? `: ${text}` : ""))));
}

function ending({ state, resolved_at: at, reason }) {
  if (state !== "resolved") return null;
  return el("p", { class: "soft" }, bdi(clipped(`over since ${dateTime(Date.parse(at))}${reason ? `: ${reason}` : ""}`)));
}
