// One stream of events a browser, however many tabs: the tab that holds the lock listens and tells the others. Browsers open
// six connections to a server, so a stream a tab would let the seventh tab wait for ever.
import { url } from './api.js';

const NAME = `pitcrew ${document.baseURI}`;
const listeners = new Set();
let paused = false;
let last = { state: 'connecting', figures: null, at: null, alerts: [] };

/** Calls back with what is known now, and at each change; answers how to stop. */
export function listen(callback) {
  listeners.add(callback);
  callback(last, paused);
  return () => listeners.delete(callback);
}

export function pause(value) {
  paused = value;
  tell({});
}

function tell(change) {
  last = { ...last, ...change };
  for (const callback of listeners) callback(last, paused);
}

function take(message) {
  if (paused && message.kind !== 'state') return;
  if (message.kind === 'figures') tell({ state: 'live', figures: message.data.figures, at: message.data.at });
  else if (message.kind === 'alert') tell({ alerts: [message.data, ...last.alerts].slice(0, 20) });
  else tell({ state: message.data });
}

function stream(send) {
  const source = new EventSource(url('events'));
  const forward = (kind) => (event) => send({ kind, data: JSON.parse(event.data) });
  source.addEventListener('figures', forward('figures'));
  source.addEventListener('alert', forward('alert'));
  source.onopen = () => send({ kind: 'state', data: 'live' });
  source.onerror = () => {
    send({ kind: 'state', data: 'away' });
    // A refusal ends the source for good; what is only away comes again by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => stream(send), 5000);
  };
}

export function start() {
  // Locks are for secure pages: over plain HTTP beyond this machine each tab has a stream of its own.
  if (!navigator.locks || !window.BroadcastChannel) return stream(take);
  const channel = new BroadcastChannel(NAME);
  channel.onmessage = (event) => take(event.data);
  navigator.locks.request(NAME, () => {
    stream((message) => {
      channel.postMessage(message);
      take(message);
    });
    // Held until the tab closes.
    return new Promise(() => {});
  });
}
