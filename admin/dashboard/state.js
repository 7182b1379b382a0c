// What pages share: asking again and again, who is here, and whether all of it is paused.
import { get } from './api.js';
import { listen } from './live.js';
import { useCallback, useEffect, useState } from './html.js';

/** The live figures and alerts. */
export function useLive() {
  const [live, set] = useState({ state: 'connecting', figures: null, at: null, alerts: [], paused: false });
  useEffect(() => listen((known, paused) => set({ ...known, paused })), []);
  return live;
}

/**
 * An answer of the API, asked for again every `seconds` while the page is looked at and not paused. What was known stays on the
 * screen beside a problem, with its age.
 */
export function useAsked(path, seconds = 10) {
  const [answer, set] = useState({ data: null, problem: null, at: null });
  const [round, setRound] = useState(0);
  const { paused } = useLive();
  useEffect(() => set({ data: null, problem: null, at: null }), [path]);
  useEffect(() => {
    if (!path) return undefined;
    const stop = new AbortController();
    let timer;
    const ask = async () => {
      // Nothing moves under an open dialog: its row might go, and the dialog with it.
      if (!document.hidden && !document.querySelector('dialog[open]')) {
        try {
          const data = await get(path, stop.signal);
          set({ data, problem: null, at: new Date().toISOString() });
        } catch (problem) {
          if (problem.name === 'AbortError') return;
          set((known) => ({ ...known, problem }));
        }
      }
      if (!paused) timer = setTimeout(ask, seconds * 1000);
    };
    ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, seconds, paused, round]);
  const again = useCallback(() => setRound((known) => known + 1), []);
  return { ...answer, again, path };
}

/** A choice that the address keeps, so that a page can be sent to a colleague: `#/times?window=5m`. */
export function useChoice(name, fallback) {
  const [, set] = useState(0);
  useEffect(() => {
    const changed = () => set((known) => known + 1);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  const [path, query] = place();
  const choose = (value) => {
    const next = new URLSearchParams(query);
    if (value === fallback || value === '') next.delete(name);
    else next.set(name, value);
    location.hash = next.size ? `${path}?${next}` : path;
  };
  return [query.get(name) ?? fallback, choose];
}

/** How far back charts go: the step of `GET /history` that has it, and after how many seconds it is asked for again. */
const SPANS = { '1 h': ['second', 10], '24 h': ['minute', 30], '1 y': ['hour', 300] };

/** Key figures over the time that somebody has chosen; the address keeps it. */
export function useHistory(metrics) {
  const [chosen, choose] = useChoice('span', '1 h');
  const span = Object.hasOwn(SPANS, chosen) ? chosen : '1 h';
  const [step, seconds] = SPANS[span];
  return { ...useAsked(`/history?step=${step}&metric=${metrics.join(',')}`, seconds), span, choose, spans: Object.keys(SPANS) };
}

/** The page's path and its query, both from the part after `#`. */
export function place() {
  const [path, query = ''] = location.hash.replace(/^#/, '').split('?');
  return [path || '/', new URLSearchParams(query)];
}

/** Where a page of this dashboard is. The document has a base, so that `#/cache` alone would be another document. */
export const link = (page) => `${location.pathname}#${page}`;
