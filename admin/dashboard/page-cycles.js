// Cycles: what they found and did, start one, pause them.
import { digits, duration, moment } from './format.js';
import { html, useState } from './html.js';
import { useAsked, useChoice } from './state.js';
import { Action, Facts, Part, Table, Tone } from './ui.js';

const TONES = { done: 'good', failed: 'bad', skipped: 'quiet' };

export function Cycles() {
  const cycles = useAsked('/cycles?limit=100', 5);
  const [open, setOpen] = useChoice('cycle', '');
  const [hours, setHours] = useState(1);
  return html`<${Part} title="Schedule" asked=${cycles}>${(data) => html`
      <p>One every ${duration(data.interval_s)}, under the policy <b>${data.policy}</b>${data.is_running ? '; one runs now' : ''}${data.paused_until ? `; paused until ${moment(data.paused_until)}` : ''}.</p>
      <p class="buttons"><${Action} label="Start one now" title="Start a cycle" path="/optimize" body=${{}} planned=${false} onDone=${cycles.again} />
        <label class="inline">Hours <input type="number" min="1" max="168" value=${hours} onInput=${(event) => setHours(Number(event.target.value))} /></label>
        <${Action} key=${hours} label="Pause" title=${`Pause cycles for ${hours} h`} path="/cycles/pause" body=${{ for_s: hours * 3600 }} onDone=${cycles.again} />
        ${data.paused_until && html`<${Action} label="Go on" title="End the pause" method="DELETE" path="/cycles/pause" planned=${false} onDone=${cycles.again} />`}</p>`}<//>
    <${Part} title="Past cycles" asked=${cycles}>${(data) => {
      const shown = data.cycles.find((cycle) => String(cycle.id) === open);
      return html`${shown && html`<${Cycle} of=${shown} close=${() => setOpen('')} />`}
        <${Table} caption="Cycles, the newest first" rows=${data.cycles} keyOf=${(row) => row.id} empty="None has run yet: the first comes after one interval." onRow=${(row) => setOpen(String(row.id))} columns=${[
          ['Cycle', (row) => row.id],
          ['Began', (row) => moment(row.started_at), { sort: (row) => row.started_at }],
          ['By', (row) => row.trigger],
          ['Took', (row) => `${digits(row.took_ms)} ms`, { number: true, sort: (row) => row.took_ms }],
          ['Summary', (row) => row.summary],
        ]} />`;
    }}<//>`;
}

function Cycle({ of, close }) {
  const steps = (caption, rows) => html`<${Table} caption=${caption} rows=${rows} columns=${[
    ['Step', (row) => row.name],
    ['State', (row) => html`<${Tone} tone=${TONES[row.state] ?? 'quiet'}>${row.state}<//>`, { sort: (row) => row.state }],
    ['Took', (row) => `${digits(row.took_ms)} ms`, { number: true, sort: (row) => row.took_ms }],
    ['Detail', (row) => row.detail],
  ]} />`;
  return html`<article class="advice"><h3>Cycle ${of.id}${of.dry_run ? ' (dry run)' : ''}</h3><button type="button" onClick=${close}>Close</button>
    ${steps('Steps', of.steps)}${steps('Parts', of.parts)}
    <h4>Findings</h4><${Facts} of=${of.findings} /><h4>Advice</h4><${Facts} of=${of.advice} /><h4>Actions</h4><${Facts} of=${of.actions} /></article>`;
}
