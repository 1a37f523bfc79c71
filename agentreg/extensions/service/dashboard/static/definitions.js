// The definitions that the service stores: their versions, what differs, and the way back.

import { ask, get, parts } from "./api.js";
import { Dialog } from "./dialog.js";
import { bdi, clipped, el, empty, notice, setText } from "./dom.js";
import { counted, dateTime } from "./format.js";

const FRESH = 5000; // there are no events of definitions: they are asked for again while somebody looks

const path = (name, rest = "") => `registry/definitions/${encodeURIComponent(name)}${rest}`;

export class DefinitionsView {
  #name = null;
  #turn = 0;
  #definitions = [];
  #asked = 0;
  #said = "";
  #shown = "";

  constructor(section) {
    this.summary = el("p", { class: "sub" });
    this.search = el("input", { type: "search", placeholder: "Search", "aria-label": "Search definitions", autocomplete: "off", input: () => this.#renderList() });
    this.list = el("ul", { class: "names" });
    this.shown = el("div", { class: "definition" });
    this.lists = el("div", { class: "card names-card" }, this.search, this.list);
    this.nothing = el("div", { hidden: true });
    this.columns = el("div", { class: "columns", hidden: true }, this.lists, this.shown);
    this.confirm = new Dialog();
    section.append(el("h1", {}, "Definitions"), this.summary, this.nothing, this.columns, this.confirm.element);
  }

  show(name) {
    this.#name = name;
    this.#said = this.#shown = "";
    this.#load();
  }

  render() {
    if (Date.now() - this.#asked > FRESH && !document.hidden && !this.confirm.element.open) this.#load();
  }

  close() {
    return false;
  }

  async #load() {
    this.#asked = Date.now();
    const turn = ++this.#turn;
    const answer = (await parts()).definitions ? await get("registry/definitions").catch((problem) => ({ problem })) : null;
    if (turn !== this.#turn) return;
    const missing = answer === null || answer.problem?.status === 404;
    const said = JSON.stringify([answer?.definitions, missing, answer?.problem?.message]);
    if (said === this.#said) return;
    this.#said = said;
    if (missing || answer.problem) return this.#say(missing ? ["No definitions table here", "This service stores no definitions."] : ["The definitions can't be shown", answer.problem.message]);
    this.#definitions = answer.definitions;
    setText(this.summary, `${counted(answer.total, "definition")}. Each change is a version; a rollback is one more.`);
    if (answer.total === 0) return this.#say(["No definition is stored yet", "agentreg definitions migrate copies a folder of them to this service."]);
    this.nothing.hidden = true;
    this.columns.hidden = false;
    this.#renderList();
    await this.#loadOne(turn);
  }

  #say(words) {
    this.nothing.replaceChildren(empty(...words));
    this.nothing.hidden = false;
    this.columns.hidden = true;
  }

  #renderList() {
    const text = this.search.value.trim().toLowerCase();
    const found = this.#definitions.filter(({ name, description, tags }) => [name, description, ...(tags ?? [])].join("\n").toLowerCase().includes(text));
    this.list.replaceChildren(...found.map((each) => entry(each, each.name === this.#name)), ...(found.length ? [] : [el("li", { class: "none" }, "None matches.")]));
  }

  async #loadOne(turn) {
    this.columns.classList.toggle("has-one", Boolean(this.#name));
    if (!this.#name) return this.shown.replaceChildren(empty("Choose a definition", "Its text, its versions and what differs between them show here."));
    try {
      const [one, history] = await Promise.all([get(path(this.#name)), get(path(this.#name, "/versions"))]);
      const said = JSON.stringify([one, history.versions]);
      if (turn !== this.#turn || said === this.#shown) return;
      this.#shown = said;
      this.#renderOne(one, history.versions);
    } catch (problem) {
      if (turn === this.#turn) this.shown.replaceChildren(empty("This definition can't be shown", problem.message));
    }
  }

  #renderOne(one, versions) {
    const comparison = new Comparison(one, versions);
    this.shown.replaceChildren(
      el("div", { class: "card" }, head(one), el("details", { open: true }, el("summary", {}, "Text"), el("pre", { class: "content", tabindex: 0, "aria-label": "Text", dir: "auto" }, one.content))),
      el("div", { class: "card" }, el("h3", {}, "Versions"), el("ol", { class: "versions" }, versions.toReversed().map((each) => this.#version(one, each)))),
      comparison.element,
    );
  }

  #version(one, version) {
    const current = version.version === one.version;
    const back = el("button", { type: "button", "aria-label": `Roll back to version ${version.version}`, click: () => this.#askBack(one.name, version.version) }, "Roll back");
    const said = version.restores ? `brings back ${version.restores}` : (version.note ?? version.change ?? "");
    return el("li", {}, el("strong", {}, `Version ${version.version}`), el("time", { datetime: version.created_at }, dateTime(Date.parse(version.created_at))), el("span", { class: "why" }, bdi(clipped(String(said)))), el("code", {}, String(version.digest ?? "").replace(/^sha256:/, "").slice(0, 8)), current ? el("span", { class: "tag" }, "current") : back);
  }

  async #askBack(name, version) {
    const agreed = await this.confirm.ask({ title: `Roll back to version ${version}?`, text: "Its text becomes the newest version. Nothing is lost: the versions in between stay.", yes: "Roll back" });
    if (!agreed) return;
    try {
      const now = await ask("POST", path(name, "/rollback"), { version });
      notice(`Version ${version} is back, as version ${now.version}.`);
    } catch (problem) {
      notice(`Version ${version} could not be brought back: ${problem.message}`, "problem");
    }
    this.#load();
  }
}

function entry({ name, version, status, description, tags }, isShown) {
  const link = el("a", { href: `#/definitions/${encodeURIComponent(name)}`, "aria-current": isShown ? "true" : null }, el("strong", {}, bdi(clipped(name))), el("span", { class: "tag" }, `v${version}`), status === "active" ? null : el("span", { class: "tag" }, status), el("span", { class: "about" }, bdi(clipped(description ?? (tags ?? []).join(", ")))));
  return el("li", {}, link);
}

function head({ name, version, status, description, tags, model, tools, updated_at: updated }) {
  const facts = [["Version", version], ["Status", status], ["Updated", dateTime(Date.parse(updated))], ["Model", model], ["Tools", (tools ?? []).join(", ")], ["Tags", (tags ?? []).join(", ")]];
  const known = facts.filter(([, value]) => value != null && value !== "");
  return el("div", {}, el("p", { class: "back" }, el("a", { href: "#/definitions" }, "All definitions")), el("h2", {}, bdi(clipped(name))), description ? el("p", { class: "sub" }, bdi(clipped(description, 2000))) : null, el("dl", { class: "facts" }, known.map(([title, value]) => el("div", {}, el("dt", {}, title), el("dd", {}, bdi(clipped(String(value), 2000)))))));
}

/** Two versions, and what differs. */
class Comparison {
  constructor(one, versions) {
    this.name = one.name;
    const before = versions.length > 1 ? versions.at(-2).version : one.version;
    this.from = choice("From", versions, before, () => this.#load());
    this.to = choice("to", versions, one.version, () => this.#load());
    this.text = el("pre", { class: "diff", tabindex: 0, "aria-label": "Differences", "aria-live": "polite" });
    this.element = el("div", { class: "card", hidden: versions.length < 2 }, el("h3", {}, "Differences"), el("p", { class: "choose" }, this.from.label, this.to.label), this.text);
    if (versions.length > 1) this.#load();
  }

  async #load() {
    const query = new URLSearchParams({ from: this.from.select.value, to: this.to.select.value });
    const { diff, problem } = await get(path(this.name, `/diff?${query}`)).catch((error) => ({ problem: error }));
    if (problem) setText(this.text, problem.message);
    else this.text.replaceChildren(...(diff ? diff.replace(/\n$/, "").split("\n").map(diffLine) : ["Nothing differs."]));
  }
}

function choice(title, versions, value, change) {
  const select = el("select", { change }, versions.map(({ version }) => el("option", { value: version }, `version ${version}`)));
  select.value = value;
  return { select, label: el("label", {}, `${title} `, select) };
}

function diffLine(text, index) {
  const kinds = { "+": "added", "-": "removed", "@": "place" };
  return el("span", { class: `line ${index < 2 ? "head" : (kinds[text[0]] ?? "same")}`, dir: "auto" }, `${text}\n`);
}
