// The rules by which alerts are raised.

import { ask } from "./api.js";
import { Dialog } from "./dialog.js";
import { bdi, clipped, el, keyed, notice, setAttribute, setText } from "./dom.js";

/** The list of rules, and a form for one more; `changed()` is called when there are others. */
export class Rules {
  #changed;

  constructor(changed) {
    this.#changed = changed;
    this.list = el("ul", { class: "lines" });
    this.name = el("input", { id: "rule-name", required: true, maxlength: 255, autocomplete: "off", spellcheck: "false", placeholder: "crowded" });
    this.expression = el("input", { id: "rule-expression", class: "mono", required: true, autocomplete: "off", autocapitalize: "off", spellcheck: "false", placeholder: "memory_usage > 90% for 2m" });
    this.problem = el("pre", { class: "problem", id: "rule-problem", role: "alert", tabindex: 0, hidden: true });
    const form = el("form", { class: "adding", novalidate: true, submit: (event) => this.#add(event) }, labelled("Name", this.name), labelled("Expression", this.expression), el("button", { type: "submit", class: "primary" }, "Add rule"));
    this.dialog = new Dialog();
    this.element = el("div", { class: "card" }, this.list, form, this.problem, this.dialog.element);
  }

  show(rules) {
    keyed(this.list, rules.length ? rules : [{ name: "" }], ({ name }) => name, (rule) => (rule.name === "" ? el("li", { class: "none" }, "There is no rule.") : this.#line(rule)));
  }

  #line(rule) {
    const { name, expression, severity } = rule;
    return el("li", {}, el("strong", {}, bdi(clipped(name))), el("code", {}, bdi(clipped(expression))), severity ? el("span", { class: "tag" }, severity) : null, el("button", { type: "button", "aria-label": `Remove ${clipped(name, 60)}`, click: () => this.#remove(name) }, "Remove"));
  }

  async #add(event) {
    event.preventDefault();
    const [name, expression] = [this.name.value.trim(), this.expression.value.trim()];
    try {
      await ask("POST", "registry/alerts/rules", { name, expression });
      this.#say("");
      this.name.value = this.expression.value = "";
      notice(`The rule ${clipped(name, 60)} is in force.`);
    } catch (problem) {
      this.#say(problem.message);
    }
    this.#changed();
  }

  /** The service points at the place with a caret: the text keeps its lines and spaces. */
  #say(text) {
    setText(this.problem, text);
    this.problem.hidden = text === "";
    setAttribute(this.expression, "aria-invalid", text === "" ? null : "true");
    setAttribute(this.expression, "aria-describedby", text === "" ? null : "rule-problem");
    if (text) this.expression.focus();
  }

  async #remove(name) {
    if (!(await this.dialog.ask({ title: `Remove ${clipped(name, 60)}?`, text: "Nothing is measured by it any more, and its alerts are over.", yes: "Remove" }))) return;
    try {
      await ask("DELETE", `registry/alerts/rules/${encodeURIComponent(name)}`);
      notice(`The rule ${clipped(name, 60)} is removed.`);
    } catch (problem) {
      notice(problem.message, "problem");
    }
    this.#changed();
  }
}

function labelled(title, input) {
  return el("label", { class: "field" }, el("span", {}, title), input);
}
