// How many joined and left in each minute, as bars up and down.

import { setAttribute, svg } from "./dom.js";
import { clock, counted } from "./format.js";

const MINUTES = 60;

/** A small chart of the last hour; `render(store)` draws it again when something has changed. */
export function churn({ height = 34 } = {}) {
  const title = svg("title");
  const middle = svg("line", { x1: 0, x2: MINUTES * 4, y1: height / 2, y2: height / 2, class: "axis" });
  const bars = svg("g");
  const element = svg("svg", { class: "churn", viewBox: `0 0 ${MINUTES * 4} ${height}`, preserveAspectRatio: "none", role: "img" }, title, middle, bars);
  let drawn = "";
  const render = (store) => {
    const now = Math.floor(store.now() / 60000);
    const key = `${now} ${store.moves.added}`;
    if (key === drawn) return;
    drawn = key;
    const minutes = Array.from({ length: MINUTES }, (_, index) => now - MINUTES + 1 + index);
    bars.replaceChildren(...drawnBars(minutes.map((each) => [each, store.minutes.get(each)]), height));
    title.textContent = said(minutes, store);
    setAttribute(element, "aria-label", title.textContent);
  };
  return { element, render };
}

function drawnBars(minutes, height) {
  const most = Math.max(4, ...minutes.flatMap(([, counts]) => (counts ? [counts.joined, counts.left] : [])));
  const length = (value) => (value ? Math.max(2.5, (value / most) * (height / 2 - 1)) : 0);
  return minutes.flatMap(([minute, counts], index) => {
    if (!counts) return [];
    const up = length(counts.joined);
    const down = length(counts.left);
    const tip = `${clock(minute * 60000).slice(0, 5)}: ${counts.joined} joined, ${counts.left} left`;
    return [
      up && svg("rect", { class: "joined", x: index * 4 + 0.5, width: 3, y: height / 2 - up, height: up }, svg("title", {}, tip)),
      down && svg("rect", { class: "left", x: index * 4 + 0.5, width: 3, y: height / 2, height: down }, svg("title", {}, tip)),
    ].filter(Boolean);
  });
}

function said(minutes, store) {
  let joined = 0;
  let left = 0;
  for (const minute of minutes) {
    joined += store.minutes.get(minute)?.joined ?? 0;
    left += store.minutes.get(minute)?.left ?? 0;
  }
  return `${counted(joined, "agent")} joined and ${left} left in the last hour`;
}
