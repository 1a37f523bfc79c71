// The page: its views, the address, the connection's state, the colours.

import { AgentsView } from "./agents.js";
import { AlertsView, urgent } from "./alerts.js";
import { token } from "./api.js";
import { DecisionsView } from "./decisions.js";
import { DefinitionsView } from "./definitions.js";
import { setText } from "./dom.js";
import { clock } from "./format.js";
import { Inquiry } from "./inquiry.js";
import { MetricsView } from "./metrics.js";
import { ResourcesView } from "./resources.js";
import { RuntimesView } from "./runtimes.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";
import { TimelineView } from "./timeline.js";

const part = (id) => document.getElementById(id);
const store = new Store();
const stream = new Stream(store);
const alerts = new Inquiry("alerts", "registry/alerts?state=active&limit=500", 10000);
const decisions = new Inquiry("decisions", "registry/decisions/pending", 10000);
const views = {
  agents: new AgentsView(part("agents"), store),
  runtimes: new RuntimesView(part("runtimes"), store),
  definitions: new DefinitionsView(part("definitions"), store),
  metrics: new MetricsView(part("metrics"), store),
  resources: new ResourcesView(part("resources"), store),
  alerts: new AlertsView(part("alerts"), store, alerts),
  decisions: new DecisionsView(part("decisions"), store, decisions),
  timeline: new TimelineView(part("timeline"), store),
};
const titles = { agents: "Agents", runtimes: "Runtimes", definitions: "Definitions", metrics: "Metrics", resources: "Resources", alerts: "Alerts", decisions: "Decisions", timeline: "Time line" };
let shown = null;

// -- what is drawn, and when ----------------------------------------------------

let planned = false;

/** Draw with the next frame, however much has happened by then. */
function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    if (stream.state !== "token") views[shown]?.render();
  });
}

store.addEventListener("change", plan);
setInterval(plan, 1000); // ages go on

// -- what wants attention -------------------------------------------------------

let heard = 0;

store.addEventListener("change", () => {
  if (heard === store.alerts.added) return;
  heard = store.alerts.added;
  alerts.ask();
});

function keepAsking() {
  if (stream.state !== "live") return;
  alerts.keep();
  decisions.keep();
}

setInterval(keepAsking, 1000);
alerts.addEventListener("change", () => badge("alerts", urgent(alerts.answer?.alerts ?? []), "firing"));
decisions.addEventListener("change", () => badge("decisions", decisions.answer?.pending?.length ?? 0, "pending"));

/** A number beside the link of a view. */
function badge(view, number, word) {
  const shown = part(`${view}-badge`);
  shown.hidden = number === 0;
  setText(shown.firstChild, number > 99 ? "99+" : String(number));
  setText(shown.lastChild, ` ${word}`);
}

// -- views ----------------------------------------------------------------------

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const view = name in views ? name : "agents";
  const id = decoded(rest.join("/"));
  const isNew = view !== shown;
  shown = view;
  for (const each of Object.keys(views)) part(each).hidden = each !== view || stream.state === "token";
  for (const link of part("nav").children) {
    if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${titles[view]} · agentreg`;
  if (stream.state !== "token") views[view].show(id || null);
  if (isNew) scrollTo(0, 0);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

addEventListener("hashchange", route);

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "/" && !typing) {
    if (shown !== "agents") location.hash = "#/agents";
    requestAnimationFrame(() => part("search").focus());
    event.preventDefault();
  } else if (event.key === "Escape" && shown === "agents") {
    if (typing?.value && typing.type === "search") return; // empties the search first
    if (views.agents.close()) event.preventDefault();
  }
});

// -- the connection -------------------------------------------------------------

const words = { connecting: "Connecting", live: "Live", disconnected: "Disconnected", token: "Token needed" };
let asked = false;

stream.addEventListener("state", () => {
  const { state } = stream;
  part("link").dataset.state = state;
  setText(part("link-text"), words[state]);
  part("banner").hidden = state !== "disconnected";
  if (state === "disconnected") setText(part("banner-text"), store.listed ? `Disconnected from the service. What you see is from ${clock(stream.lost)}; it catches up by itself.` : "The service does not answer. The page tries again by itself.");
  if (state === "live") asked = false;
  keepAsking();
  showToken(state === "token");
  plan();
});

part("retry").addEventListener("click", () => stream.retry());

function showToken(needed) {
  if (part("token").hidden === needed) {
    part("token").hidden = !needed;
    route();
  }
  if (!needed) return;
  setText(part("token-problem"), asked ? "The service has another token." : "");
  token.clear();
  part("token-text").value = "";
  part("token-text").focus();
}

part("token").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = part("token-text").value.trim();
  if (!text) return;
  asked = true;
  token.set(text);
  setText(part("token-problem"), "");
  stream.retry();
});

// -- colours --------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

function labelTheme() {
  part("theme").setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  part("theme").dataset.now = isDark() ? "dark" : "light";
}

part("theme").addEventListener("click", () => {
  const chosen = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("agentreg.theme", chosen);
  } catch {
    // it holds for this page, then
  }
  labelTheme();
  document.dispatchEvent(new Event("themechange"));
});
dark.addEventListener("change", labelTheme);

labelTheme();
route();
stream.retry();
