// Load test: start one, follow it, read its report, hold it against an earlier one.
import { url } from './api.js';
import { Chart } from './chart.js';
import { digits, moment, words } from './format.js';
import { html, useState } from './html.js';
import { useAsked, useChoice } from './state.js';
import { Action, Facts, Figure, Figures, Part, Select, Table, Tone, Why } from './ui.js';

const TONES = { held: 'good', broken: 'bad', better: 'good', worse: 'bad' };

export function LoadTest() {
  const runs = useAsked('/load-test', 2);
  const [open, setOpen] = useChoice('run', '');
  return html`<${Start} again=${runs.again} />
    ${open && html`<${Run} id=${open} runs=${runs.data?.runs ?? []} close=${() => setOpen('')} />`}
    <${Part} title="Runs" asked=${runs}>${(data) => html`<${Table} caption="Load tests that are kept" rows=${data.runs} keyOf=${(row) => row.id} empty="None yet: start one above." onRow=${(row) => setOpen(row.id)} columns=${[
      ['Run', (row) => row.id],
      ['Began', (row) => moment(row.began), { sort: (row) => row.began }],
      ['Target', (row) => row.target],
      ['State', (row) => html`<${Tone} tone=${row.state === 'running' ? 'warn' : 'good'}>${row.state}<//>`],
      ['So far', (row) => html`<${Facts} of=${row.progress} />`],
      ['', (row) => (row.state === 'running' ? html`<${Action} label="Stop" title=${`Stop load test ${row.id}`} method="DELETE" path=${`/load-test/${row.id}`} planned=${false} danger onDone=${runs.again} />` : '')],
    ]} />`}<//>`;
}

/** The fields that most plans have, told by the plan's own schema. */
const FIELDS = [['path', 'HttpPlan'], ['connections', 'HttpPlan'], ['duration_s', 'HttpPlan'], ['rate_per_s', 'Stage']];

function Start({ again }) {
  const schema = useAsked('/openapi.json', 3600);
  const [form, setForm] = useState({ path: '/', connections: 8, duration_s: 10, rate_per_s: '', thresholds: '' });
  const [written, setWritten] = useState(null);
  const text = written ?? JSON.stringify(planOf(form), null, 2);
  let body = null;
  let fault = null;
  try {
    body = { plan: JSON.parse(text) };
  } catch (error) {
    fault = error.message;
  }
  const set = (name, value) => {
    setForm({ ...form, [name]: value });
    setWritten(null);
  };
  const edit = (event) => setWritten(event.target.value);
  const of = (name, schemaName) => schema.data?.components?.schemas?.[schemaName]?.properties?.[name] ?? {};
  return html`<section class="part" aria-label="Start a load test"><header><h2>Start a load test</h2></header>
    <p class="note">Against this app, unless the plan names another allowed target. The dry run checks the plan and sends nothing.</p>
    <div class="fields">${FIELDS.map(([name, schemaName]) => {
      const { description, minimum, maximum } = of(name, schemaName);
      const label = name === 'rate_per_s' ? 'arrivals a second (leave out for a closed model)' : words(name);
      return html`<label>${label}${description && html` <${Why} text=${description} of=${label} />`}
        <input value=${form[name]} type=${name === 'path' ? 'text' : 'number'} step="any" min=${minimum} max=${maximum} onInput=${(event) => set(name, event.target.value)} /></label>`;
    })}<label>thresholds, one a line <textarea rows="2" spellcheck="false" placeholder="p99 < 500ms" value=${form.thresholds} onInput=${(event) => set('thresholds', event.target.value)}></textarea></label></div>
    <label class="wide">Plan (JSON, as docs/load.md describes it) <textarea rows="8" spellcheck="false" value=${text} onInput=${edit} onChange=${edit} aria-invalid=${fault ? 'true' : 'false'}></textarea></label>
    ${fault ? html`<p class="trouble" role="alert">${fault}</p>` : html`<${Action} key=${text} label="Start" title="Load this app" path="/load-test" body=${body} danger typed="load" onDone=${again} />`}</section>`;
}

function planOf({ path, connections, duration_s, rate_per_s, thresholds }) {
  const load = rate_per_s === ''
    ? { connections: Number(connections), duration_s: Number(duration_s) }
    : { open: { stages: [{ duration_s: Number(duration_s), rate_per_s: Number(rate_per_s) }] } };
  const lines = thresholds.split('\n').map((line) => line.trim()).filter(Boolean);
  return { http: { path, ...load }, ...(lines.length > 0 && { thresholds: lines }) };
}

const SHOWN = ['ok', 'rate_per_s', 'error_percent', 'missed', 'cpu_s'];
const TIMES = ['mean_ms', 'p50_ms', 'p95_ms', 'p99_ms', 'max_ms'];
const FORMS = ['html', 'markdown', 'junit', 'hdr', 'json'];

function Run({ id, runs, close }) {
  const state = runs.find((run) => run.id === id)?.state;
  const asked = useAsked(`/load-test/${encodeURIComponent(id)}`, state === 'finished' ? 30 : 1);
  return html`<${Part} title=${`Run ${id}`} asked=${asked}>${(data) => html`<button type="button" onClick=${close}>Close</button>
    ${data.report ? html`<${Report} run=${data} />` : html`<${Figures}>${Object.entries(data.progress).map(([name, value]) => html`<${Figure} name=${words(name)} value=${digits(value)} />`)}<//>`}
    <${OverTime} intervals=${data.report?.intervals ?? data.seconds} />
    ${data.report && html`<${Compare} id=${id} others=${runs.filter((run) => run.id !== id && run.state === 'finished')} />
      <details><summary>All of it</summary><${Facts} of=${data.report} /></details>`}`}<//>`;
}

function Report({ run }) {
  const { report, thresholds, id } = run;
  const figures = [...SHOWN.map((name) => [name, report[name]]), ...TIMES.map((name) => [name, report.response[name]])];
  return html`${report.generator_limited && html`<p class="trouble" role="alert">The tester itself was late, so its times say nothing of the app: ask for less at once.</p>`}
    <${Figures}>${figures.filter(([, value]) => typeof value === 'number').map(([name, value]) => html`<${Figure} name=${words(name)} value=${digits(value)} />`)}<//>
    ${thresholds.length > 0 && html`<${Table} caption="Thresholds" rows=${thresholds} keyOf=${(row) => row.threshold} columns=${[
      ['Threshold', (row) => row.threshold],
      ['Measured', (row) => (row.measured == null ? 'nothing' : digits(row.measured)), { number: true }],
      ['Verdict', (row) => {
        const word = row.holds ? 'held' : row.needed ? 'too short' : 'broken';
        return html`<${Tone} tone=${TONES[word] ?? 'quiet'}>${word}<//>`;
      }],
    ]} />`}
    <p>Save as ${FORMS.map((form) => html`<a href=${url(`/load-test/${encodeURIComponent(id)}/report?format=${form}`)} download=${form === 'json' ? `load-test-${id}.json` : ''}>${form}</a> `)}</p>`;
}

function Compare({ id, others }) {
  const [other, setOther] = useState('');
  if (others.length === 0) return null;
  return html`<${Select} label="Compare with run" value=${other} options=${['', ...others.map((run) => run.id)]} onChange=${setOther} />
    ${other && html`<${Compared} id=${id} other=${other} />`}`;
}

function Compared({ id, other }) {
  const asked = useAsked(`/load-test/${encodeURIComponent(id)}/compare?with=${encodeURIComponent(other)}`, 3600);
  const percent = (change) => (change ? `${digits(change.value)} % (${digits(change.low)} to ${digits(change.high)})` : '–');
  return html`<${Part} title=${`Run ${id} beside run ${other}`} asked=${asked}>${(data) => html`
    ${!data.plans_are_the_same && html`<p class="note">The plans differ, so the app need not be what changed.</p>`}
    ${data.tester_was_late && html`<p class="trouble" role="alert">The tester was late in one of the runs, so nothing can be said of the app.</p>`}
    <${Table} caption="What moved, with its 99 % interval" rows=${data.changes} keyOf=${(row) => row.metric} columns=${[
      ['Metric', (row) => words(row.metric)],
      ['Before', (row) => digits(row.before), { number: true }],
      ['After', (row) => digits(row.after), { number: true }],
      ['Change', (row) => percent(row.change_percent)],
      ['Verdict', (row) => html`<${Tone} tone=${TONES[row.movement] ?? 'quiet'}>${words(row.movement)}<//>`],
    ]} />`}<//>`;
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
    <div class="sparks">
      <${Chart} title="In flight" isSpark fromZero height=${60} times=${times} lines=${[line('requests', '', (second) => second.in_flight)]} />
      <${Chart} title="Bytes of bodies a second" isSpark fromZero height=${60} times=${times} lines=${[line('bytes', '/s', (second) => second.body_bytes / second.duration_s)]} />
      <${Chart} title="CPU of the tester, % of a core" isSpark fromZero height=${60} times=${times} lines=${[line('cpu', '%', (second) => 100 * second.cpu_s / second.duration_s)]} />
    </div>
    ${told.length > 0 && html`<h3>The app meanwhile</h3><div class="sparks">${told.map((name) => html`<${Chart} title=${words(name)} isSpark fromZero height=${60} times=${times} lines=${[line(words(name), '', (second) => second.observed?.[name])]} />`)}</div>`}`;
}
