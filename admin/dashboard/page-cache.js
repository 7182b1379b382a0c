// Cache: hits by region, route and reason; explain a request; purge with a count first.
import { bytes, digits, duration, words } from './format.js';
import { HistoryChart } from './chart.js';
import { get } from './api.js';
import { html, useState } from './html.js';
import { useAsked, useHistory } from './state.js';
import { Action, Facts, Figure, Figures, Part, Span, Table } from './ui.js';

const NAMES = ['all', 'path', 'prefix', 'pattern', 'tag', 'region', 'key'];

export function Cache() {
  const stats = useAsked('/cache/stats', 5);
  const history = useHistory(['cache_hits_percent']);
  return html`
    <${Part} title="Figures" asked=${stats}>${(data) => html`<${Figures}>
        <${Figure} name="hits" value=${digits(data.hits)} says="Answers from the cache since the start. GET /cache/stats." />
        <${Figure} name="misses" value=${digits(data.misses)} says="Look-ups that found nothing fresh, since the start." />
        <${Figure} name="bypasses" value=${digits(data.bypasses)} says="Requests that the cache had no part in, since the start; the reasons stand by route." />
        <${Figure} name="hit ratio" value=${`${digits(data.hit_ratio * 100)} %`} says="Hits of hits and misses, since the start." />
        <${Figure} name="first level" value=${bytes(data.l1.bytes)} says="Bytes of answers in this process." />
        <${Figure} name="second level" value=${data.l2 ? data.l2.state : 'none'} says="Redis, where one is configured: up, down, or why not." /><//>
      <${Rows} title="By region" name="name" rows=${data.regions} /><${Rows} title="By route" name="route" rows=${data.routes} />
      <details><summary>First level</summary><${Facts} of=${data.l1} /></details>
      ${data.l2 && html`<details><summary>Second level</summary><${Facts} of=${data.l2} /></details>`}`}<//>
    <${Part} title="Hits over time" asked=${history}>${(data) => html`<${Span} of=${history} /><${HistoryChart} history=${data} metrics=${['cache_hits_percent']} title="Hits among look-ups, %" />`}<//>
    <${Explain} />
    <${Purge} again=${stats.again} />`;
}

/** A row a region or route; what few want to know lies under `all`. */
function Rows({ title, name, rows }) {
  const number = (field) => [words(field), (row) => digits(row[field]), { number: true, sort: (row) => row[field] }];
  return html`<${Table} caption=${title} rows=${rows} empty="Nothing was asked for yet." columns=${[
    [name, (row) => row[name]],
    ...(name === 'route' ? [['region', (row) => row.region]] : []),
    ...['hits', 'misses', 'bypasses', 'errors', 'stale', 'coalesced'].map(number),
    ['hit ratio', (row) => `${digits(row.hit_ratio * 100)} %`, { number: true, sort: (row) => row.hit_ratio }],
    ['stored', (row) => bytes(row.stored_bytes), { number: true, sort: (row) => row.stored_bytes }],
    ['time saved', (row) => duration(row.handler_time_saved_us / 1e6), { number: true, sort: (row) => row.handler_time_saved_us }],
    ['', (row) => html`<details><summary aria-label=${`All of ${row[name]}`}>all</summary><${Facts} of=${row} /></details>`],
  ]} />`;
}

function Explain() {
  const [path, setPath] = useState('/');
  const [method, setMethod] = useState('GET');
  const [headers, setHeaders] = useState('');
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  const ask = async (event) => {
    event.preventDefault();
    setProblem(null);
    try {
      const query = new URLSearchParams({ path, method });
      if (headers.trim()) query.set('headers', headers);
      setAnswer(await get(`/cache/explain?${query}`));
    } catch (error) {
      setAnswer(null);
      setProblem(error);
    }
  };
  return html`<section class="part" aria-label="Explain a request"><header><h2>Explain a request</h2></header>
    <p class="note">What the cache would do with it, and by which rule. Nothing is sent to the app.</p>
    <form class="fields" onSubmit=${ask}>
      <label>Method <select value=${method} onChange=${(event) => setMethod(event.target.value)}>${['GET', 'HEAD', 'POST', 'QUERY'].map((name) => html`<option>${name}</option>`)}</select></label>
      <label>Path and query <input value=${path} required onInput=${(event) => setPath(event.target.value)} /></label>
      <label>Fields, a line each <textarea rows="2" placeholder="accept: application/json" value=${headers} onInput=${(event) => setHeaders(event.target.value)}></textarea></label>
      <button type="submit" class="go">Explain</button>
    </form>
    ${problem && html`<p class="trouble" role="alert">${problem.message}</p>`}
    ${answer && html`<div role="status"><p class="verdict">${answer.decision}: ${answer.because}</p><${Facts} of=${answer} /></div>`}</section>`;
}

function Purge({ again }) {
  const [by, setBy] = useState('path');
  const [value, setValue] = useState('');
  const body = by === 'all' ? { all: true } : { [by]: value };
  return html`<section class="part" aria-label="Purge"><header><h2>Purge</h2></header>
    <p class="note">The plan says how many entries of this process it would make old. Other instances follow within the time that docs/cache.md gives.</p>
    <div class="fields">
      <label>By <select value=${by} onChange=${(event) => setBy(event.target.value)}>${NAMES.map((name) => html`<option>${name}</option>`)}</select></label>
      ${by !== 'all' && html`<label>Value <input value=${value} onInput=${(event) => setValue(event.target.value)} /></label>`}
      ${by === 'all' || value ? html`<${Action} key=${JSON.stringify(body)} label="Purge" title=${by === 'all' ? 'Purge everything' : `Purge ${by} ${value}`} path="/cache/invalidate" body=${body} danger typed=${['path', 'key'].includes(by) ? undefined : by} onDone=${again} />` : html`<button type="button" disabled>Purge</button>`}
    </div></section>`;
}
