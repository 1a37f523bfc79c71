// Questions to the service, with the token if there is one.

const KEY = "agentreg.token";
const PATIENCE = 8000;

/** An answer that is none: its HTTP status, what the service says of it, and all that it sent. Status 0: nobody answered. */
export class Refused extends Error {
  constructor(status, detail, content = null) {
    super(detail);
    this.status = status;
    this.content = content;
  }
}

/** The token that was typed in, in this tab. */
export const token = {
  get() {
    return sessionStorage.getItem(KEY);
  },
  set(text) {
    sessionStorage.setItem(KEY, text);
  },
  clear() {
    sessionStorage.removeItem(KEY);
  },
};

/** The address of *path* at this service, which may itself be below a path. */
export const address = (path) => new URL(path, document.baseURI);

/** The subprotocols of a WebSocket: the one way in which a page can show a token there. */
export function subprotocols() {
  const text = token.get();
  return text === null ? [] : ["agentreg", `agentreg.bearer.${percentEncoded(text)}`];
}

function percentEncoded(text) {
  return encodeURIComponent(text).replace(/[()]/g, (each) => `%${each.charCodeAt(0).toString(16)}`);
}

/** The JSON of an answer. Throws Refused. */
export async function ask(method, path, body) {
  const answer = await sent(method, path, body);
  const content = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, content?.detail ?? content?.error ?? `the service answered ${answer.status}`, content);
  return content;
}

export const get = (path) => ask("GET", path);

/** A header is made of bytes: those of UTF-8, each as a character. */
function inBytes(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

async function sent(method, path, body) {
  const headers = { accept: "application/json" };
  const text = token.get();
  if (text !== null) headers.authorization = `Bearer ${inBytes(text)}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    return await fetch(address(path), { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Refused(0, "the service does not answer");
  }
}

let asked;

/** Which parts this service has. */
export function parts() {
  asked ??= get("dashboard/parts.json").then(
    (answer) => answer.parts,
    () => {
      asked = undefined;
      return {};
    },
  );
  return asked;
}

/** Ask for the parts again: another service may have come. */
export function forgetParts() {
  asked = undefined;
}
