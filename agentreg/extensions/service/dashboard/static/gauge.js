// How much of something is used, as a bar with words.

import { el } from "./dom.js";

/** A bar for *value* of *most*, in the words that *format* makes of both; null where one of them is not known. */
export function gauge(title, value, most, format) {
  if (value == null || !most) return null;
  const percent = Math.min(100, Math.round((100 * value) / most));
  const fill = el("span", { class: "bar-fill", "data-level": percent >= 90 ? "high" : percent >= 70 ? "raised" : "fine" });
  fill.style.width = `${percent}%`;
  return el("div", { class: "gauge" }, el("p", {}, el("span", {}, title), el("span", {}, `${format(value)} of ${format(most)}`)), el("span", { class: "bar-track", role: "meter", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent }, fill));
}
