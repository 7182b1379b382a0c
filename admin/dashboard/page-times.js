// Response times: all series, one route in depth, slow routes, where the time goes, repeated statements, objectives.
import { HistoryChart } from './chart.js';
import { digits, withUnit, words } from './format.js';
import { HeatMap, Histogram } from './heat.js';
import { html } from './html.js';
import { useAsked, useChoice, useHistory } from './state.js';
import { Facts, Figure, Figures, Part, Select, Span, Table, Tone } from './ui.js';

const WINDOWS = ['1m', '5m', '15m', '1h', 'total'];
const OVER_TIME = ['response_mean_ms', 'response_p95_ms', 'response_p99_ms'];
const PERCENTILES = ['p50_ms', 'p90_ms', 'p95_ms', 'p99_ms', 'p999_ms', 'max_ms'];

export function Times() {
  const [window, setWindow] = useChoice('window', '15m');
  const [route, setRoute] = useChoice('route', '');
  const times = useAsked(`/response-times?window=${window}`, 5);
  const slow = useAsked(`/response-times/slow?window=${window}`, 15);
  const parts = useAsked(`/response-times/parts?window=${window}`, 15);
  const repeated = useAsked(`/response-times/n-plus-one?window=${window}`, 15);
  const slos = useAsked('/slos', 15);
  const heat = useAsked('/response-times/heat-map', 15);
  const history = useHistory(OVER_TIME);
  return html`
    <p><${Select} label="Window" value=${window} options=${WINDOWS} onChange=${setWindow} /></p>
    ${route && html`<${Route} route=${route} window=${window} close=${() => setRoute('')} />`}
    <${Part} title="Series" asked=${times} empty="No request has ended yet.">${(data) => html`
      <p>${digits(data.requests)} requests since the start, ${digits(data.in_flight)} under way.</p>
      <${Table} caption="Each route, method and status class" rows=${data.series} keyOf=${(row) => `${row.route} ${row.method} ${row.status_class}`}
        onRow=${(row) => setRoute(row.route)} empty="No request has ended yet." columns=${[
          ['Route', (row) => row.route],
          ['Method', (row) => row.method],
          ['Class', (row) => row.status_class],
          ['Requests', (row) => digits(row.count), { number: true, sort: (row) => row.count }],
          ['a second, 1 min', (row) => digits(row.rates?.one_minute), { number: true, sort: (row) => row.rates?.one_minute }],
          ['Mean, ms', (row) => digits(row.mean_ms), { number: true, sort: (row) => row.mean_ms }],
          ['p95', (row) => digits(row.p95_ms), { number: true, sort: (row) => row.p95_ms }],
          ['p99', (row) => digits(row.p99_ms), { number: true, sort: (row) => row.p99_ms }],
        ]} />`}<//>
    <${Part} title="Over time" asked=${history}>${(data) => html`<${Span} of=${history} /><${HistoryChart} history=${data} metrics=${OVER_TIME} title="Time to the end of the body, ms" />`}<//>
    <${Part} title="Minute by minute" asked=${heat}>${(data) => html`<${HeatMap} of=${data} title="All routes" />`}<//>
    <${Part} title="Slow routes" asked=${slow}>${(data) => html`<${Rows} rows=${data.findings} empty="No route is slow by a target, an objective or its own past." />`}<//>
    <${Part} title="Where the time goes" asked=${parts}>${(data) => html`<${Rows} rows=${data.routes} empty="No part was timed: statements, cache look-ups and pool waits are, once their layers are attached." />`}<//>
    <${Part} title="Statements that requests run again and again" asked=${repeated}>${(data) => html`<${Rows} rows=${data.findings} empty="No request ran the same statement many times." />`}<//>
    <${Part} title="Objectives" asked=${slos}>${(data) => html`<${Rows} rows=${data.objectives} empty="No objective is set: add one with LatencyLayer's builder." />`}<//>`;
}

function Rows({ rows, empty }) {
  if (!rows?.length) return html`<p class="missing">${empty}</p>`;
  return rows.map((row) => html`<article class="advice"><${Facts} of=${row} /></article>`);
}

function Route({ route, window, close }) {
  const [against, setAgainst] = useChoice('against', '1h');
  const heat = useAsked(`/response-times/heat-map?route=${encodeURIComponent(route)}`, 15);
  const asked = useAsked(`/response-times/${encodeURIComponent(route)}?window=${window}&against=${against}`, 5);
  return html`<${Part} title=${`Route ${route}`} asked=${asked}>${(data) => {
    const now = data.figures[window];
    return html`<button type="button" onClick=${close}>Close</button>
      ${now && html`<${Figures}>
        <${Figure} name="requests" value=${digits(now.count)} says=${`That ended within ${window}.`} />
        <${Figure} name="mean" value=${withUnit(now.mean_ms, 'ms')} says="Arithmetic mean, exact." />
        <${Figure} name="first byte p95" value=${withUnit(now.first_byte_p95_ms, 'ms')} says="95th percentile of the time to the head." />
        <${Figure} name="errors" value=${digits(now.errors)} says="5xx, or an error of the service or its body." /><//>
      <${Distribution} figures=${now} />`}
      <${Histogram} of=${data.histogram} title=${`Requests by time, ${window}`} />
      ${heat.data && html`<${HeatMap} of=${heat.data} title=${`Route ${route}`} />`}
      <p><${Select} label="Compare with" value=${against} options=${WINDOWS} onChange=${setAgainst} /> ${data.change && html`<${Change} of=${data.change} />`}</p>
      <${Table} caption="Over each window" rows=${Object.entries(data.figures)} columns=${[
        ['Window', ([name]) => name],
        ['Requests', ([, row]) => digits(row.count), { number: true }],
        ...PERCENTILES.map((name) => [words(name.replace('_ms', ', ms')), ([, row]) => digits(row[name]), { number: true, sort: ([, row]) => row[name] }]),
      ]} />
      <h3>Slowest requests</h3>${data.exemplars.length ? data.exemplars.map((one) => html`<article class="advice"><${Facts} of=${one} /></article>`) : html`<p class="missing">None within ${window}.</p>`}
      ${data.parts && html`<h3>Where its time goes</h3><${Facts} of=${data.parts} />`}
      ${data.repeated.length > 0 && html`<h3>Statements again and again</h3><${Facts} of=${data.repeated} />`}`;
  }}<//>`;
}

const Change = ({ of }) => html`<${Tone} tone=${of.p95_percent > 20 ? 'bad' : of.p95_percent < -20 ? 'good' : 'quiet'}>p95 ${of.p95_percent == null ? '–' : `${of.p95_percent > 0 ? '+' : ''}${digits(of.p95_percent)} %`}<//> ${of.detail}`;

/** Percentiles as bars: how the slow end compares with the middle. */
function Distribution({ figures }) {
  const most = Math.max(...PERCENTILES.map((name) => figures[name] ?? 0), 1e-9);
  return html`<figure class="bars"><figcaption>Time by percentile</figcaption>${PERCENTILES.map((name) => html`<div><span>${words(name.replace('_ms', ''))}</span>
    <meter min="0" max=${most} value=${figures[name] ?? 0} aria-label=${`${words(name)} ${digits(figures[name])} ms`}></meter><span class="number">${digits(figures[name])} ms</span></div>`)}</figure>`;
}
