// Alerts: every rule and how it stands, and what fired.
import { ago, duration, moment, withUnit } from './format.js';
import { html } from './html.js';
import { useAsked } from './state.js';
import { Action, Part, Table, Tone } from './ui.js';

const TONES = { firing: 'bad', pending: 'warn', quiet: 'good', resolved: 'good', test: 'quiet' };

export function Alerts() {
  const alerts = useAsked('/alerts?limit=100', 5);
  const path = (rule, what) => `/alerts/${encodeURIComponent(rule)}/${what}`;
  return html`<${Part} title="Rules" asked=${alerts}>${(data) => html`<${Table} caption="Rules" rows=${data.rules} keyOf=${(row) => row.name} columns=${[
      ['Rule', (row) => row.name],
      ['State', (row) => html`<${Tone} tone=${TONES[row.state]}>${row.state}<//>${row.since ? ` ${ago(row.since)}` : ''}`, { sort: (row) => row.state }],
      ['Now', (row) => withUnit(row.value, row.unit), { number: true, sort: (row) => row.value }],
      ['Fires', (row) => `${row.is_above ? 'above' : 'below'} ${withUnit(row.threshold, row.unit)} for ${duration(row.lasting_s)}`, { sort: (row) => row.threshold }],
      ['Severity', (row) => row.severity],
      ['Suppressed', (row) => (row.suppressed_until ? `until ${moment(row.suppressed_until)}` : 'no')],
      ['', (row) => html`<span class="buttons"><${Action} label="Test" title=${`Test-fire ${row.name}`} path=${path(row.name, 'test')} body=${{}} onDone=${alerts.again} />
        ${row.suppressed_until
    ? html`<${Action} label="Tell again" title=${`Tell of ${row.name} again`} method="DELETE" path=${path(row.name, 'suppress')} planned=${false} onDone=${alerts.again} />`
    : html`<${Action} label="Suppress 1 h" title=${`Tell nobody of ${row.name} for an hour`} path=${path(row.name, 'suppress')} body=${{ for_s: 3600 }} onDone=${alerts.again} />`}</span>`],
    ]} />`}<//>
    <${Part} title="What fired" asked=${alerts}>${(data) => html`<${Table} caption="Alerts, the newest first" rows=${data.history} keyOf=${(row) => row.id} empty="Nothing has fired since the start." columns=${[
      ['When', (row) => moment(row.at), { sort: (row) => row.at }],
      ['State', (row) => html`<${Tone} tone=${TONES[row.state]}>${row.state}<//>`, { sort: (row) => row.state }],
      ['Rule', (row) => row.rule],
      ['What', (row) => row.sentence],
    ]} />${data.dropped_total > 0 && html`<p class="note">${data.dropped_total} older ones were dropped.</p>`}`}<//>`;
}
