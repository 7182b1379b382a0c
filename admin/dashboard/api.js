// Asking the router. Everything is relative to the page's base, so any prefix works.

/** A refusal or a fault, with the sentence that says what to do. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const url = (path) => new URL(path.replace(/^\//, ''), document.baseURI);

/** The same request for a terminal. The token is not known here, and would not belong on a screen. */
export function curl(path, method = 'GET', body = undefined) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  // By way of the shell's own printf the token is on no command line, which others on the machine can read.
  const parts = ['printf \'Authorization: Bearer %s\' "$PITCREW_TOKEN" | curl', '-H', '@-'];
  if (method !== 'GET') parts.push('-X', method);
  if (body !== undefined) parts.push('-H', quoted('Content-Type: application/json'), '-d', quoted(JSON.stringify(body)));
  parts.push(quoted(url(path).href));
  return parts.join(' ');
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(url(path), { credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, 'The app does not answer. It may be restarting: this page asks again by itself.');
  }
  if (response.status === 401) {
    location.assign(url('login'));
    throw new Problem(401, 'The session has ended: log in again.');
  }
  const kind = response.headers.get('content-type') ?? '';
  const answer = kind.includes('json') ? await response.json() : await response.text();
  if (!response.ok) throw new Problem(response.status, answer.detail ?? `The answer is ${response.status}.`);
  return answer;
}

export const get = (path, signal) => ask(path, { signal });

/** An action: named by a key of its own, so that sending it twice does it once. */
export function act(method, path, body) {
  const headers = { 'Idempotency-Key': key() };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  return ask(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

function key() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
