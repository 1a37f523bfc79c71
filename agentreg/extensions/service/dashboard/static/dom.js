// Elements. Text that comes from records only ever becomes text nodes: there is no markup from strings in this page.

const SVG = "http://www.w3.org/2000/svg";

/** A new element. Attributes that are functions listen; true is an empty attribute, false, null and undefined none. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Text of others, isolated: its direction changes nothing around it. */
export function bdi(text, attributes = {}) {
  return el("bdi", { dir: "auto", ...attributes }, String(text));
}

/** Set an element's text, if it is another one. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute, if it is another one; null takes it away. */
export function setAttribute(element, name, value) {
  if (value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** The beginning of a long text. What is cut off is invisible in a row anyway, and costs time to lay out. */
export function clipped(text, most = 240) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** A coloured dot and the word for it. */
export function statusMark(status) {
  return el("span", { class: "status", "data-status": status }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, status));
}

/** A line that says that there is nothing, and why. */
export function empty(title, ...more) {
  return el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), ...more.map((each) => el("p", {}, each)));
}

/** A link to an agent's detail. */
export function agentLink(id, name) {
  return el("a", { href: `#/agents/${encodeURIComponent(id)}` }, bdi(clipped(String(name ?? id))));
}

const saidOf = new WeakMap();

/**
 * Show *items* as the children of *parent*, made by make(item). What has not changed stays the same element; where
 * another one takes its place, the focus goes over to it.
 */
export function keyed(parent, items, keyOf, make) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const [key, said] = [String(keyOf(item)), JSON.stringify(item)];
    const old = known.get(key);
    if (saidOf.get(old) === said) return old;
    const made = make(item);
    made.dataset.key = key;
    saidOf.set(made, said);
    return made;
  });
  const focused = focusIn(parent);
  const kept = new Set(wanted);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  wanted.forEach((child, at) => parent.children[at] === child || parent.insertBefore(child, parent.children[at] ?? null));
  if (focused && !document.contains(focused.element)) wanted.find(({ dataset }) => dataset.key === focused.key)?.querySelectorAll(TARGETS)[focused.at]?.focus();
}

const TARGETS = "a[href], button, input, select, textarea, summary, [tabindex]";

function focusIn(parent) {
  const element = document.activeElement;
  const child = [...parent.children].find((each) => each.contains(element));
  return child ? { element, key: child.dataset.key, at: [...child.querySelectorAll(TARGETS)].indexOf(element) } : null;
}

/** A span of time up to *moment*, or since; `tell` keeps it true. */
export function lasting(moment, way = "since") {
  return el("time", { datetime: Number.isFinite(moment) ? new Date(moment).toISOString() : null, [`data-${way}`]: moment });
}

/** Say in *part* how long everything lasts, now. */
export function tell(part, now, format) {
  for (const each of part.querySelectorAll("[data-since]")) setText(each, format(now - Number(each.dataset.since)));
  for (const each of part.querySelectorAll("[data-until]")) setText(each, format(Number(each.dataset.until) - now));
}

/** Show a message for a while, in a corner; screen readers say it. */
export function notice(text, kind = "plain") {
  const shown = el("p", { class: "notice", "data-kind": kind }, text);
  document.getElementById("notices").append(shown);
  setTimeout(() => shown.remove(), 8000);
}
