// Database: queries, tables, indexes, sessions and who waits for whom, pools, jobs with their progress.
import { ago, bytes, digits, duration, moment, words } from './format.js';
import { html, useState } from './html.js';
import { Findings, Suggestions } from './page-advice.js';
import { useAsked, useChoice } from './state.js';
import { Action, Facts, Figure, Figures, Missing, Part, Table, Tone } from './ui.js';

const TABS = ['overview', 'queries', 'tables', 'indexes', 'sessions', 'pools', 'jobs'];

export function Database() {
  const [tab, setTab] = useChoice('tab', 'overview');
  const Tab = { overview: Look, queries: Queries, tables: Tables, indexes: Indexes, sessions: Sessions, pools: Pools, jobs: Jobs }[tab] ?? Look;
  return html`<div class="tabs" role="group" aria-label="Parts of the database">${TABS.map((name) => html`<button type="button" aria-pressed=${tab === name} onClick=${() => setTab(name)}>${name}</button>`)}</div><${Tab} />`;
}

function Look() {
  const asked = useAsked('/database/analysis', 60);
  return html`<${Part} title="At a glance" asked=${asked}>${({ overview, skipped, extension }) => html`
    ${overview.unavailable ? html`<${Missing}>${overview.unavailable}<//>` : html`<${Figures}>
      <${Figure} name="server" value=${overview.server_version} />
      <${Figure} name="database" value=${overview.database} />
      <${Figure} name="size" value=${bytes(overview.size_bytes)} says="pg_database_size of this database." />
      <${Figure} name="connections" value=${`${overview.connections} of ${overview.max_connections}`} says="Sessions of all databases against max_connections." />
      <${Figure} name="buffer hits" value=${overview.buffer_hit_percent == null ? '–' : `${digits(overview.buffer_hit_percent)} %`} says="Blocks that were found in shared_buffers, since the statistics began." />
      <${Figure} name="mean statement" value=${overview.mean_ms == null ? '–' : `${digits(overview.mean_ms)} ms`} says="Mean execution time, weighted by calls, from pg_stat_statements." />
      <${Figure} name="extension" value=${overview.extension_version ?? 'not installed'} says="pg_pitcrew in this database." /><//>`}
    <details><summary>The extension's own state</summary><${Facts} of=${extension} /></details>
    <details><summary>Statements that the advisor does not plan</summary><${Facts} of=${skipped} /></details>`}<//>`;
}

/** Rows of a view, whatever its columns are. */
function Rows({ caption, rows, first, empty }) {
  const names = rows?.length ? Object.keys(rows[0]) : [];
  const ordered = [...first.filter((name) => names.includes(name)), ...names.filter((name) => !first.includes(name))];
  return html`<${Table} caption=${caption} rows=${rows} empty=${empty} columns=${ordered.map((name) => {
    const isNumber = rows.some((row) => typeof row[name] === 'number');
    const cell = (row) => {
      const value = row[name];
      if (value == null) return '–';
      if (typeof value === 'object') return html`<${Facts} of=${value} />`;
      if (name.endsWith('bytes')) return bytes(value);
      return isNumber && !name.endsWith('id') ? digits(value) : String(value);
    };
    return [words(name), (row) => (name === 'query' ? html`<code>${cell(row)}</code>` : cell(row)), { number: isNumber, sort: (row) => row[name] }];
  })} />`;
}

function Queries() {
  const asked = useAsked('/database/queries', 60);
  return html`<${Part} title="Statements that took the most time" asked=${asked}>${(data) => html`<${Rows} caption="Statements" rows=${data.queries} first=${['query', 'calls', 'total_ms', 'mean_ms']} empty="Nothing was recorded since the statistics began." />`}<//>`;
}

function Tables() {
  const asked = useAsked('/database/tables', 60);
  return html`<${Part} title="The largest tables" asked=${asked}>${(data) => html`<${Table} caption="Tables" rows=${data.tables} empty="There are no tables." keyOf=${(row) => `${row.schema_name}.${row.table_name}`} columns=${[
    ['Table', (row) => `${row.schema_name}.${row.table_name}`],
    ['Size', (row) => bytes(row.total_bytes), { number: true, sort: (row) => row.total_bytes }],
    ['Rows', (row) => digits(row.live_rows), { number: true, sort: (row) => row.live_rows }],
    ['Dead', (row) => digits(row.dead_rows), { number: true, sort: (row) => row.dead_rows }],
    ['Dead, %', (row) => digits(row.dead_percent), { number: true, sort: (row) => row.dead_percent }],
    ['Analyzed', (row) => ago(row.last_analyze ?? row.last_autoanalyze), { sort: (row) => row.last_analyze ?? row.last_autoanalyze }],
    ['', (row) => html`<${Action} label="Vacuum" title=${`VACUUM (ANALYZE) ${row.schema_name}.${row.table_name}`} path="/database/maintenance" body=${{ kind: 'vacuum', target: `${quoted(row.schema_name)}.${quoted(row.table_name)}`, options: { analyze: true } }} />`],
  ]} />`}<//>`;
}

const quoted = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

function Indexes() {
  const asked = useAsked('/database/indexes', 120);
  return html`<${Part} title="Indexes worth building" asked=${asked}>${(data) => html`<${Suggestions} of=${data.suggestions} again=${asked.again} />`}<//>
    <${Part} title="What the checks say" asked=${asked}>${(data) => html`<${Findings} of=${data.findings} again=${asked.again} />`}<//>`;
}

function Sessions() {
  const asked = useAsked('/database/sessions', 5);
  return html`<${Part} title="Who waits for whom" asked=${asked}>${({ sessions }) => html`<${Waiting} of=${sessions} />`}<//>
    <${Part} title="Sessions" asked=${asked} note="Statements are shown without their values.">${(data) => html`<${Table} caption="Sessions of this database" rows=${data.sessions} keyOf=${(row) => row.pid} empty="Nobody else is connected." columns=${[
      ['Process', (row) => row.pid, { number: true }],
      ['User', (row) => row.user_name ?? '–'],
      ['Program', (row) => row.application_name || '–'],
      ['State', (row) => `${row.state ?? '–'}${row.state_s == null ? '' : `, ${duration(row.state_s)}`}`],
      ['Transaction', (row) => (row.transaction_s == null ? '–' : duration(row.transaction_s)), { number: true, sort: (row) => row.transaction_s }],
      ['Waits for', (row) => (row.wait_event ? `${row.wait_event_type}: ${row.wait_event}` : '–')],
      ['Statement', (row) => (row.statement ? html`<code>${row.statement}</code>` : '–')],
    ]} />${data.is_more && html`<p class="note">There are more; these are the ones that matter most.</p>`}`}<//>`;
}

/** A tree: below each session those that wait for it, each below the first that it waits for. */
function Waiting({ of }) {
  const waiting = of.filter((one) => one.blocked_by.length);
  if (!waiting.length) return html`<p class="note">Nobody waits for a lock.</p>`;
  const roots = [...new Set(waiting.map((one) => one.blocked_by[0]))].filter((pid) => !waiting.some((one) => one.pid === pid));
  if (!roots.length) return html`<p class="note">They wait for each other: the server ends one of them after deadlock_timeout.</p>`;
  const branch = (pid) => {
    const one = of.find((known) => known.pid === pid);
    const behind = waiting.filter((known) => known.blocked_by[0] === pid);
    const told = one && [one.user_name, one.application_name, one.state, one.transaction_s != null && `transaction of ${duration(one.transaction_s)}`].filter(Boolean).join(', ');
    return html`<li><b>${pid === 0 ? 'a prepared transaction' : pid}</b>${told ? ` (${told})` : ''}${one?.statement && html` <code>${one.statement}</code>`}
      ${behind.length > 0 && html`<ul>${behind.map((known) => branch(known.pid))}</ul>`}</li>`;
  };
  return html`<ul class="tree" aria-label="Who waits for whom">${roots.map(branch)}</ul>`;
}

function Pools() {
  const asked = useAsked('/database/pools', 5);
  return html`<${Part} title="Pools of this app" asked=${asked}>${(data) => html`<${Table} caption="Pools" rows=${data.pools} keyOf=${(row) => row.name} empty="This app gave no pool: add .pool(..) to Admin::builder()." columns=${[
    ['Pool', (row) => row.name],
    ['Connections', (row) => `${row.connections} of ${row.max_connections}`, { sort: (row) => row.connections }],
    ['Idle', (row) => digits(row.idle), { number: true, sort: (row) => row.idle }],
    ['Waited, %', (row) => digits(row.waited_percent), { number: true, sort: (row) => row.waited_percent }],
    ['Timed out', (row) => digits(row.timed_out), { number: true, sort: (row) => row.timed_out }],
    ['Advice', (row) => row.advice],
    ['', (row) => (row.is_resizable ? html`<${Resize} pool=${row} again=${asked.again} />` : '')],
  ]} />
  <h3>What the database has use for</h3><${Facts} of=${data.advice} />`}<//>`;
}

function Resize({ pool, again }) {
  const [size, setSize] = useState(pool.max_connections);
  return html`<span class="inline"><label><span class="hidden">New size of ${pool.name}</span><input type="number" min="1" max="10000" value=${size} onInput=${(event) => setSize(Number(event.target.value))} /></label>
    <${Action} key=${size} label="Resize" title=${`Resize ${pool.name} to ${size}`} path=${`/database/pools/${encodeURIComponent(pool.name)}/resize`} body=${{ max_connections: size }} onDone=${again} /></span>`;
}

/** How far a job is: in its phase, and in its steps where it has several. */
function Progress({ of: { id, progress, eta } }) {
  const told = [progress.phase, progress.steps > 1 && `step ${progress.step} of ${progress.steps}`, eta && `until ${moment(eta)}`, progress.waiting_for?.length && `waits for ${progress.waiting_for.join(', ')}`];
  return html`<span>${typeof progress.fraction === 'number' && html`<progress max="1" value=${progress.fraction} aria-label=${`Job ${id}`}></progress> `}${told.filter(Boolean).join(', ')}</span>`;
}

const STATES = { done: 'good', running: 'warn', queued: 'quiet', waiting_for_lock: 'warn', failed: 'bad', cancelled: 'quiet', orphaned: 'bad' };
const ENDED = ['done', 'failed', 'cancelled', 'orphaned'];

function Jobs() {
  const asked = useAsked('/database/jobs', 3);
  return html`<${Part} title="Jobs" asked=${asked}>${(data) => html`<${Table} caption="The last jobs" rows=${data.jobs} keyOf=${(row) => row.id} empty="No job was submitted." columns=${[
    ['Job', (row) => row.id, { number: true }],
    ['Kind', (row) => row.kind],
    ['Target', (row) => row.target ?? '–'],
    ['State', (row) => html`<${Tone} tone=${STATES[row.state] ?? 'quiet'}>${words(row.state)}<//>`, { sort: (row) => row.state }],
    ['Progress', (row) => (row.state === 'running' && row.progress ? html`<${Progress} of=${row} />` : '–')],
    ['Submitted', (row) => moment(row.submitted_at), { sort: (row) => row.submitted_at }],
    ['Detail', (row) => html`<details><summary>all</summary><${Facts} of=${row} /></details>`],
    ['', (row) => (ENDED.includes(row.state) ? '' : html`<${Action} label="Cancel" title=${`Cancel job ${row.id}`} method="DELETE" path=${`/database/jobs/${row.id}`} planned=${false} danger typed="cancel" onDone=${asked.again} />`)],
  ]} />`}<//>`;
}
