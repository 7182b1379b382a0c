// Advice: what the last cycle advises, indexes worth building, and what came of earlier advice.
import { bytes, digits, moment } from './format.js';
import { html } from './html.js';
import { useAsked } from './state.js';
import { Action, Facts, Missing, Part, Table, Tone, hasPart } from './ui.js';

export function Advice() {
  const cycles = useAsked('/cycles?limit=20', 30);
  const indexes = useAsked(hasPart('database') ? '/database/indexes' : null, 120);
  return html`
    <${Part} title="What the last cycle advises" asked=${cycles} empty="No cycle has run yet: start one on the page Cycles.">${(data) => {
      const [last] = data.cycles;
      if (!last) return null;
      if (last.advice.length === 0) return html`<p class="note">The cycle of ${moment(last.started_at)} has nothing to advise.</p>`;
      return last.advice.map((advice) => html`<article class=${`advice ${advice.severity}`}>
        <h3>${advice.title} <${Tone} tone=${advice.severity === 'critical' ? 'bad' : 'warn'}>${advice.severity}<//></h3>
        <p>${advice.detail}</p>
        ${advice.action && html`<${Action} label="Plan and do it" title=${advice.title} method=${advice.action.method} path=${advice.action.path} body=${advice.action.body} onDone=${cycles.again} />`}
      </article>`);
    }}<//>
    ${hasPart('database') && html`<${Part} title="Indexes worth building" asked=${indexes}>${(data) => html`<${Suggestions} of=${data.suggestions} again=${indexes.again} />`}<//>
      <${Part} title="What the checks say of indexes" asked=${indexes}>${(data) => html`<${Findings} of=${data.findings} />`}<//>`}
    <${Part} title="What was done" asked=${cycles} note="Actions of the last 20 cycles; what operators did themselves is in the audit.">${(data) => {
      const done = data.cycles.flatMap((cycle) => cycle.actions.map((action) => ({ ...action, at: cycle.started_at })));
      return html`<${Table} caption="Actions of cycles" rows=${done} empty="No cycle has done anything: under the policy observe it never does." columns=${[
        ['When', (row) => moment(row.at), { sort: (row) => row.at }],
        ['What', (row) => row.kind],
        ['On', (row) => row.target ?? '–'],
        ['State', (row) => row.state],
        ['Detail', (row) => row.detail],
      ]} />`;
    }}<//>`;
}

export function Suggestions({ of, again }) {
  if (of == null || of.unavailable) return html`<${Missing}>${of?.unavailable ?? 'The database was not asked.'}<//>`;
  if (of.length === 0) return html`<${Missing}>No index would cut the cost of the recorded statements by five per cent or more.<//>`;
  return of.map((one) => html`<article class="advice">
    <h3>${one.index_name}</h3>
    <p>${one.detail}</p>
    <pre tabindex="0">${one.ddl}</pre>
    <p>planned cost ${digits(one.cost_before)} → ${digits(one.cost_after)}, ${digits(one.gain_percent)} % less; about ${bytes(one.estimated_size_bytes)}</p>
    <details><summary>Evidence</summary><${Facts} of=${one.evidence} /></details>
    <${Action} label="Plan and build it" title=${`Build ${one.index_name}`} path=${`/database/indexes/${encodeURIComponent(one.id)}/apply`} body=${{}} onDone=${again} />
  </article>`);
}

const SEVERITY = { critical: 'bad', warn: 'warn', info: 'quiet', ok: 'good', skipped: 'quiet' };

export function Findings({ of }) {
  if (of == null || of.unavailable) return html`<${Missing}>${of?.unavailable ?? 'The database was not asked.'}<//>`;
  return html`<${Table} caption="Findings" rows=${of} empty="The checks found nothing." columns=${[
    ['Severity', (row) => html`<${Tone} tone=${SEVERITY[row.severity] ?? 'quiet'}>${row.severity}<//>`, { sort: (row) => row.severity }],
    ['Check', (row) => row.check],
    ['Object', (row) => row.object ?? '–'],
    ['What', (row) => row.detail],
    ['Fix', (row) => (row.fix_sql ? html`<code>${row.fix_sql}</code>` : '–')],
  ]} />`;
}
