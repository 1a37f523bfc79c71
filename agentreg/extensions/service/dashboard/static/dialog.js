// Questions in front of everything else.

import { el, setText } from "./dom.js";

let made = 0;

/** A form in a dialog. Escape and Cancel answer null. */
export class Dialog {
  #answer = null;

  constructor() {
    const id = `dialog-${(made += 1)}`;
    this.title = el("h2", { id });
    this.text = el("p");
    this.fields = el("div", { class: "fields" });
    this.no = el("button", { type: "button", click: () => this.element.close() }, "Cancel");
    this.yes = el("button", { type: "submit", class: "primary" });
    const form = el("form", { submit: (event) => this.#submit(event) }, this.title, this.text, this.fields, el("p", { class: "buttons" }, this.no, this.yes));
    this.element = el("dialog", { "aria-labelledby": id }, form);
  }

  /** Ask; the values of the fields by their names, or null. A field is {name, label, kind, value, options}. */
  ask({ title, text = "", yes, fields = [] }) {
    setText(this.title, title);
    setText(this.text, text);
    setText(this.yes, yes);
    this.fields.replaceChildren(...fields.map(field));
    this.#answer = null;
    this.element.showModal();
    (this.fields.querySelector("input, select, textarea") ?? this.no).focus();
    return new Promise((resolve) => this.element.addEventListener("close", () => resolve(this.#answer), { once: true }));
  }

  #submit(event) {
    event.preventDefault();
    const inputs = [...this.fields.querySelectorAll("input, select, textarea")];
    this.#answer = Object.fromEntries(inputs.map((input) => [input.name, input.value.trim()]));
    this.element.close();
  }
}

function field({ name, label, kind = "input", value = "", options = [], ...attributes }) {
  const input = el(kind, { name, autocomplete: "off", ...attributes }, options.map(([worth, text]) => el("option", { value: worth }, text)));
  if (kind !== "select" || options.some(([worth]) => worth === value)) input.value = value;
  return el("label", { class: "field" }, el("span", {}, label), input);
}
