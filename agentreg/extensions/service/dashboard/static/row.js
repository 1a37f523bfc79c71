// A record as the page shows it.

import { bytesOf, numberOf, sortable } from "./format.js";

/** In the order in which they want attention. */
export const STATUSES = ["error", "stale", "degraded", "maintenance", "active", "idle", "stopped"];

const text = (value) => (value == null ? "" : String(value));
const wholeOr = (value, other) => (typeof value === "number" && Number.isFinite(value) ? value : other);

/** One record: what the service sent, and what is derived from it. Never changed; an update makes another one. */
export class Row {
  constructor(record) {
    this.record = record;
    this.id = text(record.agent_id);
    this.name = text(record.name) || this.id;
    this.runtime = text(record.runtime_id);
    this.host = text(record.host);
    this.cwd = text(record.cwd);
    this.status = statusOf(record);
    this.created = Date.parse(record.created_at);
    const resources = record.resources ?? {};
    this.tasks = wholeOr(resources.active_tasks, 0);
    this.most = wholeOr(resources.max_concurrent_tasks, 0);
    this.load = this.most > 0 ? this.tasks / this.most : 0;
    this.keys = {};
  }

  get isThere() {
    return this.status !== "stopped";
  }

  /** Bytes in use, or null. */
  get memory() {
    return (this.used ??= [bytesOf(this.record.resources?.memory_used)])[0];
  }

  /** Itself, with what a table of all rows wants to know worked out. */
  prepared() {
    for (const column of ["name", "age"]) this.key(column);
    this.used ??= [this.memory];
    return this;
  }

  /** Bytes that it was given, or null. */
  get allocated() {
    return bytesOf(this.record.resources?.memory_allocated);
  }

  /** Seconds, or null. */
  get response() {
    return numberOf(this.record.performance?.avg_response_time);
  }

  /** What a search looks in, in lower case; made when somebody searches. */
  get haystack() {
    this.found ??= [this.id, this.name, this.runtime, this.host, this.cwd, this.status, this.record.version, this.record.file_path, ...(this.record.capabilities ?? []), JSON.stringify(this.record.config ?? {}), JSON.stringify(this.record.metadata ?? {})]
      .join("\n")
      .toLowerCase();
    return this.found;
  }

  /** What it is sorted by. */
  key(column) {
    return (this.keys[column] ??= keyOf(this, column));
  }
}

function keyOf(row, column) {
  if (column === "status") return STATUSES.indexOf(row.status);
  if (column === "age") return Number.isFinite(row.created) ? -row.created : 0;
  if (column === "tasks" || column === "load") return row[column];
  return sortable(row[column]);
}

/** One word for health and work: who is silent is stale, whatever it said last. */
function statusOf(record) {
  if (record.health === "offline" || record.status === "offline") return "stopped";
  if (record.health === "unhealthy") return "stale";
  if (record.status === "error" || record.status === "maintenance") return record.status;
  if (record.health === "degraded") return "degraded";
  return record.status === "idle" ? "idle" : "active";
}
