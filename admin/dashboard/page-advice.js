// Advice: what the last cycle advises, indexes worth building, and what came of earlier advice.
import { bytes, digits, moment } from './format.js';
import { html } from './html.js';
import { useAsked } from './state.js';
import { Action, Facts, Missing, Part, Table, Tone, hasPart } from './ui.js';

export function Advice() {
  const cycles = useAsked('/cycles?limit=20', 30);
  const indexes = useAsked(hasPart('database') ? '/database/indexes' : null, 120);
  const built = useAsked(hasPart('database') ? '/database/indexes/built' : null, 60);
  const suppressed = useAsked(hasPart('database') ? '/database/suppressed' : null, 30);
  const again = () => { indexes.again(); suppressed.again(); };
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
    ${hasPart('database') && html`<${Part} title="Indexes worth building" asked=${indexes}>${(data) => html`<${Suggestions} of=${data.suggestions} again=${again} />`}<//>
      <${Part} title="What the checks say of indexes" asked=${indexes}>${(data) => html`<${Findings} of=${data.findings} again=${again} />`}<//>
      <${Part} title="What was built, and what came of it" asked=${built} note="Times are of the statements that name the table, by the extension's history: the day before, and since.">${(data) => html`<${Built} of=${data.built} />`}<//>
      <${Part} title="What nobody wants to see again" asked=${suppressed}>${(data) => html`<${Suppressed} of=${data.suppressed} again=${again} />`}<//>`}
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
    <p class="buttons">${one.job && html`<${Action} label="Plan and build it" title=${`Build ${one.index_name}`} path=${`/database/indexes/${encodeURIComponent(one.id)}/apply`} body=${{}} onDone=${again} />`}
      ${one.cache_key && html`<${Suppress} of=${one.cache_key} again=${again} />`}</p>
  </article>`);
}

const SEVERITY = { critical: 'bad', warn: 'warn', info: 'quiet', ok: 'good', skipped: 'quiet' };

function Built({ of }) {
  const ms = (value) => (value == null ? '–' : `${digits(value)} ms`);
  return html`<${Table} caption="Indexes that jobs have built" rows=${of} keyOf=${(row) => row.job} empty="No job has built an index." columns=${[
    ['Index', (row) => `${row.index_name ?? '–'}${row.is_there ? '' : ' (dropped)'}`],
    ['Table', (row) => row.table_name ?? '–'],
    ['Built', (row) => moment(row.built_at), { sort: (row) => row.built_at }],
    ['Used', (row) => (row.scans == null ? '–' : `${digits(row.scans)} times`), { number: true, sort: (row) => row.scans }],
    ['Size', (row) => bytes(row.bytes), { number: true, sort: (row) => row.bytes }],
    ['Before', (row) => ms(row.times?.before_ms), { number: true, sort: (row) => row.times?.before_ms }],
    ['Since', (row) => ms(row.times?.since_ms), { number: true, sort: (row) => row.times?.since_ms }],
  ]} />`;
}

const Suppress = ({ of, again }) => html`<${Action} label="Suppress" title=${`Show ${of} no more`} path="/database/suppressed" body=${{ cache_key: of, reason: 'from the dashboard' }} onDone=${again} />`;

function Suppressed({ of, again }) {
  return html`<${Table} caption="Suppressed" rows=${of} keyOf=${(row) => row.cache_key} empty="Nothing is suppressed." columns=${[
    ['Key', (row) => html`<code>${row.cache_key}</code>`, { sort: (row) => row.cache_key }],
    ['Why', (row) => row.reason ?? '–'],
    ['By', (row) => row.suppressed_by],
    ['Since', (row) => moment(row.suppressed_at), { sort: (row) => row.suppressed_at }],
    ['Until', (row) => (row.until ? moment(row.until) : 'for good'), { sort: (row) => row.until }],
    ['', (row) => html`<${Action} label="Show again" title=${`Show ${row.cache_key} again`} method="DELETE" path=${`/database/suppressed/${encodeURIComponent(row.cache_key)}`} planned=${false} onDone=${again} />`],
  ]} />`;
}

export function Findings({ of, again }) {
  if (of == null || of.unavailable) return html`<${Missing}>${of?.unavailable ?? 'The database was not asked.'}<//>`;
  return html`<${Table} caption="Findings" rows=${of} empty="The checks found nothing." columns=${[
    ['Severity', (row) => html`<${Tone} tone=${SEVERITY[row.severity] ?? 'quiet'}>${row.severity}<//>`, { sort: (row) => row.severity }],
    ['Check', (row) => row.check],
    ['Object', (row) => row.object ?? '–'],
    ['What', (row) => row.detail],
    ['Fix', (row) => (row.fix_sql ? html`<code>${row.fix_sql}</code>` : '–')],
    ['', (row) => (row.cache_key ? html`<${Suppress} of=${row.cache_key} again=${again} />` : '')],
  ]} />`;
}
