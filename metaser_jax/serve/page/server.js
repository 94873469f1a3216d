// Requests. Whatever goes wrong is an Error whose message is for people.

const KEY = "page";

let token = null;

export class Forgotten extends Error {}

export async function ask(method, path, {json, body} = {}) {
  const headers = token === null ? {} : {"X-Page": token};
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {method, headers, body: json === undefined ? body : JSON.stringify(json)});
  } catch {
    throw new Error("The server does not answer. Is metaser serve still running?");
  }
  if (answer.ok) return answer;
  let message = `The server answered ${answer.status}.`;
  try {
    message = (await answer.json()).error ?? message;
  } catch {
    // Not JSON: the status has to do.
  }
  throw answer.status === 410 ? new Forgotten(message) : new Error(message);
}

/** The page as it was before a reload of this tab, or a new one; .lost: the server has forgotten the one that was. */
export async function open() {
  token = remembered();
  const page = await (await ask("POST", "/api/pages")).json();
  token = page.token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Not allowed: then a reload begins anew.
  }
  return page;
}

/** A reload begins anew. */
export function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Nothing was remembered.
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}
