// Events in words.

import { clipped } from "./dom.js";

const LONGEST = 160;

/** One line for an event. */
export function told({ type, data }) {
  if (type === "agent_registered") return "registered";
  if (type === "agent_deregistered") return data.reason === "stopped" ? "stopped" : `removed (${data.reason ?? "no reason given"})`;
  if (type === "agent_updated") return changed(data.changes ?? {});
  if (type === "performance_update") return `reported ${pairs(data.metrics ?? {})}`;
  if (type === "resource_alert") return `alert ${data.alert ?? ""}: ${data.details ?? ""}`;
  return type;
}

function changed(changes) {
  const { last_activity: _, status, health, ...rest } = changes;
  const words = [];
  if (health === "unhealthy") words.push("is stale");
  else if (health === "offline") words.push("stopped");
  else if (status) words.push(`is ${status}`);
  if (Object.keys(rest).length) words.push(`changed ${pairs(rest)}`);
  return words.join("; ") || "was active";
}

function pairs(values) {
  const text = Object.entries(values).map(([name, value]) => `${name.replaceAll("_", " ")} ${said(value)}`);
  return clipped(text.join(", "), LONGEST);
}

function said(value) {
  if (value === null || typeof value !== "object") return String(value);
  return Array.isArray(value) ? value.map(said).join(" ") : `(${Object.entries(value).map(([name, each]) => `${name.replaceAll("_", " ")} ${said(each)}`).join(", ")})`;
}
