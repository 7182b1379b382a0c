// The frame: navigation, who is here, live or paused, and the page that the address names.
import { act, get, url } from './api.js';
import { ago } from './format.js';
import { html, render, useEffect, useState } from './html.js';
import { pause, start } from './live.js';
import { link, place, useAsked, useLive } from './state.js';
import { Cost, Missing, Tone, hasPart, setIdentity, setParts } from './ui.js';
import { Advice } from './page-advice.js';
import { Alerts } from './page-alerts.js';
import { Api } from './page-api.js';
import { Audit } from './page-audit.js';
import { Cache } from './page-cache.js';
import { Cycles } from './page-cycles.js';
import { Database } from './page-database.js';
import { LoadTest } from './page-load.js';
import { Memory } from './page-memory.js';
import { Overview } from './page-overview.js';
import { Times } from './page-times.js';

// Address, name, page, and the part of the app that it shows.
const PAGES = [
  ['/', 'Overview', Overview],
  ['/advice', 'Advice', Advice],
  ['/times', 'Response times', Times, 'latency'],
  ['/cache', 'Cache', Cache, 'cache'],
  ['/database', 'Database', Database, 'database'],
  ['/memory', 'Memory', Memory, 'memory'],
  ['/load', 'Load test', LoadTest],
  ['/cycles', 'Cycles', Cycles],
  ['/alerts', 'Alerts', Alerts],
  ['/audit', 'Audit', Audit],
  ['/api', 'API', Api],
];

const STATES = { live: ['good', 'live'], away: ['bad', 'not connected'], connecting: ['quiet', 'connecting'] };

function App({ who }) {
  const [path, setPath] = useState(place()[0]);
  useEffect(() => {
    const changed = () => setPath(place()[0]);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  const known = PAGES.find(([at]) => at === path) ?? PAGES[0];
  const [, title, Page, part] = known;
  useEffect(() => { document.title = `${title} · pitcrew`; }, [title]);
  const live = useLive();
  const [tone, word] = live.paused ? ['quiet', 'paused'] : STATES[live.state];
  const config = useAsked('/config', 60);
  const alert = live.alerts[0];
  const logOut = async () => {
    await act('POST', '/logout').catch(() => {});
    location.assign(url('login'));
  };
  return html`
    <header class="top">
      <a class="skip" href=${link(path)} onClick=${(event) => { event.preventDefault(); document.getElementById('main').focus(); }}>To the content</a>
      <span class="name">pitcrew</span>
      <span class="where">${config.data?.instance?.name ?? location.host}${config.data?.instance?.environment ? ` · ${config.data.instance.environment}` : ''}</span>
      <span role="status"><${Tone} tone=${tone}>${word}<//></span>
      <button type="button" aria-pressed=${live.paused} onClick=${() => pause(!live.paused)}>${live.paused ? 'Go on' : 'Pause'}</button>
      ${who.role === 'reader' && html`<span class="badge" title="This token may look, and change nothing">read-only</span>`}
      <span class="who">${who.name}</span>
      <button type="button" onClick=${logOut}>Log out</button>
    </header>
    <nav aria-label="Pages">${PAGES.map(([at, name]) => html`<a href=${link(at)} aria-current=${known[0] === at ? 'page' : undefined}>${name}</a>`)}</nav>
    ${alert && html`<p class=${`banner ${alert.severity}`} role="alert">${alert.sentence} (${ago(alert.at)}) <a href=${link('/alerts')}>Alerts</a></p>`}
    <main id="main" tabindex="-1"><h1>${title}</h1>${!part || hasPart(part) ? html`<${Page} key=${known[0]} />` : html`<${Missing}>This app gave the admin router no such part: add <code>.${part}(..)</code> to <code>Admin::builder()</code>.<//>`}</main>
    <footer>${config.data && html`<span>pitcrew ${config.data.version}</span>
      <span>itself: <${Cost} of=${config.data.cost} /></span>`}</footer>`;
}

const root = document.getElementById('app');
try {
  const who = await get('/whoami');
  setIdentity(who);
  setParts((await get('/config')).parts);
  start();
  root.textContent = '';
  render(html`<${App} who=${who} />`, root);
} catch (problem) {
  root.textContent = problem.message;
}
