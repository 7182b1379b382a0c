// Overview: the verdict, the targets, one next action, health, key figures over time, what happened.
import { HistoryChart } from './chart.js';
import { ago, bytes, digits, duration, moment, withUnit, words } from './format.js';
import { html } from './html.js';
import { link, useAsked, useHistory, useLive } from './state.js';
import { Action, Figure, Figures, Missing, Part, Span, Table, Tone } from './ui.js';

const TONES = { met: 'good', missed: 'bad', not_measured: 'quiet', UP: 'good', DEGRADED: 'warn', DOWN: 'bad' };
const SPARKS = [
  ['requests_per_s', 'Requests a second'],
  ['response_p95_ms', 'p95 over a minute, ms'],
  ['response_errors_percent', 'Errors, %'],
  ['cache_hits_percent', 'Cache hits, %'],
  ['memory_rss_mib', 'Resident set, MiB'],
  ['cpu_percent', 'CPU, % of a core'],
];

export function Overview() {
  const status = useAsked('/status', 10);
  const health = useAsked('/health', 10);
  const benchmarks = useAsked('/benchmarks', 15);
  const history = useHistory(SPARKS.map(([metric]) => metric));
  return html`
    <${Part} title="Verdict" asked=${status}>${(data) => html`
      <p class="verdict">${data.verdict}</p>
      ${data.next_action ? html`<${Next} advice=${data.next_action} again=${status.again} />` : html`<p class="note">Nothing asks for anybody's hand.</p>`}
      <p class="note">Up for ${duration(data.uptime_s)}; ${data.last_cycle_at ? `the last cycle began ${ago(data.last_cycle_at)}` : 'no cycle has run yet'}. <a href=${link('/cycles')}>Cycles</a></p>`}<//>
    <${Now} />
    <${Part} title="Health" asked=${health}>${(data) => html`<p><${Tone} tone=${TONES[data.status]}>${data.status}<//></p>
      ${data.components && html`<ul class="chips">${Object.entries(data.components).map(([name, state]) => html`<li>${words(name)} <${Tone} tone=${TONES[state]}>${state}<//></li>`)}</ul>`}`}<//>
    <${Part} title="Over time" asked=${history}>${(data) => html`<${Span} of=${history} /><div class="sparks">${SPARKS.map(([metric, title]) => html`<${HistoryChart} history=${data} metrics=${[metric]} title=${title} isSpark height=${60} />`)}</div>`}<//>
    <${Part} title="What happened" asked=${history} note="Also before a restart, where the app keeps it in the database.">${(data) => html`<${Table} caption="The newest first" rows=${data.marks.slice(-50).reverse()} columns=${[
      ['When', (row) => moment(row.at), { sort: (row) => row.at }],
      ['What', (row) => words(row.kind)],
      ['Detail', (row) => row.detail],
    ]} />`}<//>
    <${Part} title="Targets" asked=${benchmarks}>${(data) => html`<${Table} caption="Targets against measured values" rows=${data.benchmarks} keyOf=${(row) => row.name} columns=${[
      ['Target', (row) => words(row.name)],
      ['Wanted', (row) => `${row.bound === 'at_most' ? 'at most' : 'at least'} ${withUnit(row.target, row.unit)}`, { sort: (row) => row.target }],
      ['Measured', (row) => withUnit(row.value, row.unit), { number: true, sort: (row) => row.value }],
      ['Verdict', (row) => html`<${Tone} tone=${TONES[row.verdict]}>${words(row.verdict)}<//>`, { sort: (row) => row.verdict }],
      ['Since', (row) => (row.since ? ago(row.since) : '–'), { sort: (row) => row.since }],
      ['How', (row) => row.detail],
    ]} />`}<//>`;
}

/** The live figures, as they come. */
function Now() {
  const { figures, at, paused } = useLive();
  return html`<section class="part" aria-label="Now"><header><h2>Now</h2></header>
    ${figures ? html`<${Figures}>
      <${Figure} name="requests a second" value=${digits(figures.requests_per_s)} says="Requests that ended in the last second, from the latency layer. GET /events." />
      <${Figure} name="p95" value=${withUnit(figures.response_p95_ms, 'ms')} says="95th percentile of the time to the end of the body, over a minute. GET /events." />
      <${Figure} name="errors" value=${withUnit(figures.response_errors_percent, '%')} says="Answers with a 5xx status, or none, over a minute. GET /events." />
      <${Figure} name="cache hits" value=${withUnit(figures.cache_hits_percent, '%')} says="Hits among the look-ups of the last minute. GET /events." />
      <${Figure} name="resident set" value=${figures.memory_rss_mib == null ? '–' : bytes(figures.memory_rss_mib * 1048576)} says="Memory of this process that is in RAM. GET /events." />
      <${Figure} name="CPU" value=${withUnit(figures.cpu_percent, '%')} says="CPU time of this process, of one core. GET /events." />
    <//><p class="note">${paused ? `Paused at ${new Date(at).toLocaleTimeString()}.` : `As of ${new Date(at).toLocaleTimeString()}.`}</p>` : html`<${Missing}>The first figures come within a second.<//>`}
  </section>`;
}

function Next({ advice, again }) {
  return html`<div class=${`advice ${advice.severity}`}><h3>${advice.title}</h3><p>${advice.detail}</p>
    ${advice.action && html`<${Action} label="Do it" title=${advice.title} method=${advice.action.method} path=${advice.action.path} body=${advice.action.body} onDone=${again} />`}</div>`;
}
