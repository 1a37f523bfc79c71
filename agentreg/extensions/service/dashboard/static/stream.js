// The connection: a WebSocket that is made anew whenever it ends, and goes on where it stopped.

import { address, ask, forgetParts, get, subprotocols } from "./api.js";
import { Connection } from "./connection.js";

const FIRST = 250;
const LONGEST = 8000;
const LOOK = 15000; // a connection may die without a word: ask now and then whether this is still the same service

/**
 * Dispatches "state" whenever `state` changes: connecting, live, disconnected, or token (the service wants one).
 * `lost` says since when it is disconnected, `next` when it tries again.
 */
export class Stream extends EventTarget {
  state = "connecting";
  instance = null;
  lost = null;
  next = null;
  #store;
  #socket = null;
  #timer = null;
  #failures = 0;
  #attempt = 0;

  constructor(store) {
    super();
    this.#store = store;
    setInterval(() => this.#look(), LOOK);
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#look());
  }

  /** Try now. */
  retry() {
    if (this.state === "live") return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  async #connect() {
    const attempt = ++this.#attempt;
    this.next = null;
    try {
      await this.#prepare();
      await this.#store.settled(); // what came over the last connection
    } catch (problem) {
      if (attempt === this.#attempt) this.#failed(problem);
      return;
    }
    if (attempt === this.#attempt) this.#open();
  }

  /** Learn which service this is, and whether it wants a token: a failing WebSocket doesn't say why. */
  async #prepare() {
    const { instance_id: instance } = await health();
    if (instance !== null && instance !== this.instance) {
      this.#store.revision = null; // another start: its revisions may be others
      this.instance = instance;
      forgetParts();
    }
    await get("registry/agents?limit=1");
  }

  #failed(problem) {
    if (problem.status === 401) this.#become("token");
    else this.#wait();
  }

  #open() {
    const url = address("registry/events");
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#store.revision !== null) url.searchParams.set("since", this.#store.revision);
    const [before, socket] = [this.#socket, new Connection(url, subprotocols())];
    this.#socket = socket;
    before?.close();
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (frame) => socket === this.#socket && this.#store.apply(frame);
    socket.onclose = () => socket === this.#socket && this.#closed();
  }

  #opened(socket) {
    if (socket !== this.#socket) return;
    this.#failures = 0;
    this.lost = null;
    this.#become("live");
  }

  #closed() {
    this.#socket = null;
    this.#wait();
  }

  #wait() {
    const longest = Math.min(FIRST * 2 ** this.#failures, LONGEST);
    this.#failures += 1;
    const pause = longest * (0.5 + Math.random() / 2); // not all pages at once
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), pause);
    this.lost ??= Date.now();
    this.next = Date.now() + pause;
    this.#become("disconnected");
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  async #look() {
    const socket = this.#socket;
    if (this.state !== "live") return;
    const found = await health().catch(() => null);
    if (socket !== this.#socket || [null, this.instance].includes(found?.instance_id)) return;
    this.#socket = null;
    socket.close();
    this.#wait();
  }
}

/** What ``/health`` says, also of a service that is not well. */
async function health() {
  return ask("GET", "health").catch((problem) => {
    if (problem.status !== 503) throw problem;
    return { instance_id: problem.content?.instance_id ?? null };
  });
}
