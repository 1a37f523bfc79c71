// What the page knows: the records, what happened to them, and the revision up to which that is true.

import { Row } from "./row.js";
import { clipped } from "./dom.js";

const KEPT_EVENTS = 2000;
const KEPT_MOVES = 1000;
const KEPT_POINTS = 240;
const KEPT_MINUTES = 60;
const SLICE = 12; // milliseconds of work until the page has its turn

// Counters of agents in directories, and where a complete record has them.
const COUNTERS = {
  active_tasks: (record, value) => ({ resources: { ...record.resources, active_tasks: value } }),
  max_concurrency: (record, value) => ({ resources: { ...record.resources, max_concurrent_tasks: value } }),
  memory_limit_mb: (record, value) => ({ resources: { ...record.resources, memory_allocated: `${value}mb` } }),
  avg_execution_time: (record, value) => ({ performance: { ...record.performance, avg_response_time: `${value}s` } }),
  error_count: (record, value) => ({ performance: { ...record.performance, error_count: value } }),
};

/** A list that forgets its oldest. */
class Ring {
  constructor(most) {
    this.most = most;
    this.items = [];
    this.added = 0;
  }

  push(item) {
    this.items.push(item);
    this.added += 1;
    if (this.items.length > this.most * 1.25) this.items = this.items.slice(-this.most);
  }
}

/** Dispatches "change" after each message of the service. */
export class Store extends EventTarget {
  rows = new Map();
  revision = null;
  listed = false;
  skew = 0; // the service's clock less ours, in milliseconds
  version = 0; // counts changes of rows
  rounds = 0; // counts rounds of samples of everybody
  events = new Ring(KEPT_EVENTS);
  moves = new Ring(KEPT_MOVES);
  alerts = new Ring(200);
  minutes = new Map();
  series = new Map();
  #waiting = [];
  #work = null;

  /** The service's time now, in milliseconds since 1970. */
  now() {
    return Date.now() + this.skew;
  }

  /** Take in a frame, after those before it; a long listing in slices, so that the page stays awake. */
  apply(frame) {
    this.#waiting.push(frame);
    this.#work ??= this.#takeAll();
  }

  /** When all that came is taken in. */
  async settled() {
    await this.#work;
  }

  async #takeAll() {
    await null; // so that it is known as the work at hand before it ends
    try {
      while (this.#waiting.length) await this.#take(this.#waiting.shift());
    } finally {
      this.#work = null;
      this.dispatchEvent(new Event("change"));
    }
  }

  #take(frame) {
    const at = Date.parse(frame.time) || this.now();
    if (Array.isArray(frame.data?.agents)) return this.#list(frame, at);
    const isTold = frame.type !== "resync"; // else the stream is about to be closed: what comes next begins with a listing
    if (isTold) this.#told(frame, at);
    this.revision = isTold ? (frame.revision ?? this.revision) : null;
    return null;
  }

  #told({ type, revision, data }, at) {
    if (type === "performance_update" && data?.agent_id == null) {
      this.rounds += 1; // the totals of a round: whoever shows them asks for them
      return;
    }
    if (type === "agent_registered") this.#register(data, at);
    else if (type === "agent_updated") this.#update(data.agent_id, data.changes ?? {}, revision, at);
    else if (type === "agent_deregistered") this.#deregister(data.agent_id, data.reason, at);
    else if (type === "performance_update") this.#measure(data, revision, at);
    else if (type === "resource_alert") this.alerts.push({ at, revision, ...data });
    this.events.push({ at, type, revision, data, id: data?.agent_id ?? null, name: this.nameOf(data?.agent_id) });
  }

  /** What an agent is called, or was. */
  nameOf(id) {
    return this.rows.get(id)?.name ?? id ?? "";
  }

  // -- listings ---------------------------------------------------------------

  async #list(frame, at) {
    const before = this.rows;
    const rows = new Map();
    const skew = at - Date.now();
    await inSlices(frame.data.agents, (record) => rows.set(record.agent_id, new Row(record).prepared()));
    this.skew = skew;
    this.rows = rows;
    if (this.listed) this.#compare(before, at);
    else await this.#seed();
    this.revision = frame.revision;
    for (const id of this.series.keys()) if (!this.rows.has(id)) this.series.delete(id);
    this.listed = true;
    this.version += 1;
  }

  /** What must have happened while nobody told. */
  #compare(before, at) {
    for (const row of this.rows.values()) {
      const old = before.get(row.id);
      if (!old?.isThere && row.isThere) this.#move("joined", row, at, "while disconnected");
      else if (old?.isThere && !row.isThere) this.#move("left", row, at, "stopped while disconnected");
    }
    for (const old of before.values()) {
      if (old.isThere && !this.rows.has(old.id)) this.#move("left", old, at, "while disconnected");
    }
  }

  /** What a first listing tells of the time before it. */
  async #seed() {
    const moves = [];
    for (const row of this.rows.values()) {
      if (Number.isFinite(row.created)) moves.push(["joined", row, row.created, ""]);
      const last = Date.parse(row.record.last_activity);
      if (!row.isThere && Number.isFinite(last)) moves.push(["left", row, last, "stopped"]);
    }
    moves.sort((one, other) => one[2] - other[2]);
    await inSlices(moves, (move) => this.#move(...move, true));
  }

  // -- changes ----------------------------------------------------------------

  #register(record, at) {
    const old = this.rows.get(record.agent_id);
    const row = this.#put(record);
    row.isNew = true;
    if (!old?.isThere) this.#move("joined", row, at, "");
  }

  #put(record) {
    const row = new Row(record);
    this.rows.set(row.id, row);
    this.version += 1;
    return row;
  }

  #update(id, changes, revision, at) {
    const old = this.rows.get(id);
    if (!old) return;
    const row = this.#put({ ...patched(old.record, changes), revision });
    if (!old.isThere && row.isThere) this.#move("joined", row, at, "back again");
    if (["performance", "resources", "active_tasks", "avg_execution_time"].some((name) => name in changes)) {
      if (!this.series.has(id)) this.#sample(old, Date.parse(old.record.last_activity) || at - 1);
      this.#sample(row, at, revision);
    }
  }

  #deregister(id, reason, at) {
    const row = this.rows.get(id);
    if (!row || reason === "replaced") return; // its successor comes with the next frame
    if (reason === "stopped") {
      this.#move("left", row, at, "stopped");
      return; // it stays listed for a while
    }
    this.rows.delete(id);
    this.series.delete(id);
    this.version += 1;
    if (row.isThere) this.#move("left", row, at, reason ?? "");
  }

  #measure({ agent_id: id, metrics }, revision, at) {
    const old = this.rows.get(id);
    if (!old || !metrics) return;
    const known = Object.entries(metrics).filter(([name]) => name in (old.record.performance ?? {}));
    const row = known.length ? this.#put({ ...old.record, performance: { ...old.record.performance, ...Object.fromEntries(known) } }) : old;
    this.#sample(row, at, revision, metrics.response_time);
  }

  #sample(row, at, revision = null, response = row.response) {
    const points = this.series.get(row.id) ?? [];
    if (points.length && revision !== null && points.at(-1).revision === revision) points.pop(); // told once more
    points.push({ at, revision, response, memory: row.memory, tasks: row.tasks });
    this.series.set(row.id, points.length > KEPT_POINTS * 1.25 ? points.slice(-KEPT_POINTS) : points);
  }

  #move(kind, row, at, reason, past = false) {
    this.moves.push({ kind, at, reason, past, id: row.id, name: clipped(row.name), runtime: row.runtime });
    const minute = Math.floor(at / 60000);
    if (minute < Math.floor(this.now() / 60000) - KEPT_MINUTES) return;
    if (!this.minutes.has(minute)) {
      this.minutes.set(minute, { joined: 0, left: 0 });
      for (const old of this.minutes.keys()) if (old < minute - KEPT_MINUTES * 2) this.minutes.delete(old);
    }
    this.minutes.get(minute)[kind] += 1;
  }
}

/** Do something for each item, and let the page have its turn now and then. */
async function inSlices(items, work) {
  let began = performance.now();
  for (const item of items) {
    if (performance.now() - began > SLICE) {
      await new Promise((resolve) => setTimeout(resolve));
      began = performance.now();
    }
    work(item);
  }
}

/** The record after changes as the stream tells them: each is the whole new value. Counters may come alone. */
function patched(record, changes) {
  let next = { ...record };
  for (const [name, value] of Object.entries(changes)) {
    if (name in COUNTERS) next = { ...next, ...COUNTERS[name](next, value) };
    else if (name === "last_activity") next.last_activity = next.last_modified = value;
    else next[name] = value;
  }
  return next;
}
