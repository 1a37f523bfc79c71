// A question that is asked again and again, for what the stream does not tell.

import { get, parts } from "./api.js";

/**
 * One address of the service. `answer` is undefined before the first answer, null where this service has no such part,
 * {problem} where it could not be had. Dispatches "change" when it is another one than before.
 */
export class Inquiry extends EventTarget {
  answer = undefined;
  #part;
  #path;
  #every;
  #asked = 0;
  #said = "";
  #asking = null;
  #again = false;

  constructor(part, path, every) {
    super();
    this.#part = part;
    this.#path = path;
    this.#every = every;
  }

  /** Ask if the last answer is older than it may be; not for a page that nobody sees. */
  keep(every = this.#every) {
    if (Date.now() - this.#asked > every && !document.hidden) this.ask();
  }

  /** Ask now; while an answer is under way, once more after it. */
  ask() {
    this.#again = this.#asking !== null;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
      if (this.#again) this.ask();
    });
    return this.#asking;
  }

  /** Ask something else from now on. */
  aim(path) {
    if (path === this.#path) return;
    this.#path = path;
    this.answer = undefined;
    this.#said = "";
    this.ask();
  }

  async #ask() {
    this.#asked = Date.now();
    const path = this.#path;
    const answer = (await parts())[this.#part] ? await get(path).catch(refused) : null;
    const said = JSON.stringify({ ...answer, revision: 0, problem: answer?.problem?.message, off: answer === null });
    if (path !== this.#path || said === this.#said) return;
    this.#said = said;
    this.answer = answer;
    this.dispatchEvent(new Event("change"));
  }
}

const refused = (problem) => (problem.status === 404 ? null : { problem });
