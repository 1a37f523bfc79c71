// A WebSocket in a worker of its own (wire.js).

import { address } from "./api.js";

/** Calls onopen(), onmessage(frame) and onclose(), until close() is called. */
export class Connection {
  onopen = () => {};
  onmessage = () => {};
  onclose = () => {};
  #agents = [];
  #worker;

  constructor(url, protocols) {
    this.#worker = new Worker(address("dashboard/wire.js"));
    this.#worker.onmessage = ({ data }) => this.#heard(data);
    this.#worker.onerror = () => this.#ended();
    this.#worker.postMessage({ url: String(url), protocols });
  }

  close() {
    this.#worker.terminate();
  }

  #heard({ kind, frame, agents }) {
    if (kind === "open") this.onopen();
    else if (kind === "close") this.#ended();
    else if (kind === "agents") this.#agents.push(...agents);
    else if (kind === "listing") this.onmessage({ ...frame, data: { ...frame.data, agents: this.#taken() } });
    else this.onmessage(frame);
  }

  #taken() {
    const agents = this.#agents;
    this.#agents = [];
    return agents;
  }

  #ended() {
    this.close();
    this.onclose();
  }
}
