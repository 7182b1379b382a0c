// Load test: start one, follow it, read its report.
import { Chart } from './chart.js';
import { digits, words } from './format.js';
import { html, useState } from './html.js';
import { useAsked, useChoice } from './state.js';
import { Action, Facts, Figure, Figures, Part, Table, Tone } from './ui.js';

export function LoadTest() {
  const runs = useAsked('/load-test', 2);
  const [open, setOpen] = useChoice('run', '');
  return html`<${Start} again=${runs.again} />
    ${open && html`<${Report} id=${open} close=${() => setOpen('')} />`}
    <${Part} title="Runs" asked=${runs}>${(data) => html`<${Table} caption="Load tests that are kept" rows=${data.runs} keyOf=${(row) => row.id} empty="None yet." onRow=${(row) => setOpen(row.id)} columns=${[
      ['Run', (row) => row.id],
      ['State', (row) => html`<${Tone} tone=${row.state === 'running' ? 'warn' : 'good'}>${row.state}<//>`],
      ['So far', (row) => html`<${Facts} of=${row.progress} />`],
      ['', (row) => (row.state === 'running' ? html`<${Action} label="Stop" title=${`Stop load test ${row.id}`} method="DELETE" path=${`/load-test/${row.id}`} planned=${false} danger onDone=${runs.again} />` : '')],
    ]} />`}<//>`;
}

function Start({ again }) {
  const [plan, setPlan] = useState('{\n  "duration_s": 10,\n  "connections": 8\n}');
  let body = null;
  let fault = null;
  try {
    body = { plan: JSON.parse(plan) };
  } catch (error) {
    fault = error.message;
  }
  return html`<section class="part" aria-label="Start a load test"><header><h2>Start a load test</h2></header>
    <p class="note">Against this app, unless the plan names another allowed target. The dry run checks the plan and sends nothing.</p>
    <label class="wide">Plan (JSON, as docs/load.md describes it) <textarea rows="8" spellcheck="false" value=${plan} onInput=${(event) => setPlan(event.target.value)} aria-invalid=${fault ? 'true' : 'false'}></textarea></label>
    ${fault ? html`<p class="trouble" role="alert">${fault}</p>` : html`<${Action} key=${plan} label="Start" title="Load this app" path="/load-test" body=${body} danger typed="load" onDone=${again} />`}</section>`;
}

const SHOWN = ['ok', 'errors', 'rate_per_s', 'mean_ms', 'p50_ms', 'p95_ms', 'p99_ms', 'max_ms'];

function Report({ id, close }) {
  const asked = useAsked(`/load-test/${encodeURIComponent(id)}/report`, 30);
  return html`<${Part} title=${`Report of run ${id}`} asked=${asked}>${(data) => html`<button type="button" onClick=${close}>Close</button>
    <${Figures}>${SHOWN.filter((name) => typeof data[name] === 'number').map((name) => html`<${Figure} name=${words(name)} value=${digits(data[name])} />`)}<//>
    <${OverTime} intervals=${data.intervals} />
    <details><summary>All of it</summary><${Facts} of=${data} /></details>`}<//>`;
}

/** Second by second: what was answered, how fast, and what the app told of itself meanwhile. */
function OverTime({ intervals }) {
  const times = intervals.map((second) => second.until_s);
  const line = (label, unit, of) => ({ label, unit, values: intervals.map((second) => of(second) ?? null) });
  const answered = (of) => (second) => (second.ok ? of(second) : null);
  const told = [...new Set(intervals.flatMap((second) => Object.keys(second.observed ?? {})))].sort();
  return html`<${Chart} title="Answers a second" fromZero times=${times} lines=${[
      line('good', '/s', (second) => second.ok / second.duration_s),
      line('errors', '/s', (second) => second.errors / second.duration_s),
    ]} />
    <${Chart} title="Response time of good answers" fromZero times=${times} lines=${['p50_ms', 'p95_ms', 'p99_ms'].map((name) => line(name.slice(0, 3), 'ms', answered((second) => second[name])))} />
    ${told.length > 0 && html`<h3>The app meanwhile</h3><div class="sparks">${told.map((name) => html`<${Chart} title=${words(name)} isSpark fromZero height=${60} times=${times} lines=${[line(words(name), '', (second) => second.observed?.[name])]} />`)}</div>`}`;
}
