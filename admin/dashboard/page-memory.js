// Memory: the trend, the leak verdict, who allocates, and giving pages back.
import { Chart } from './chart.js';
import { bytes, digits, withUnit } from './format.js';
import { html } from './html.js';
import { useAsked, useChoice } from './state.js';
import { Action, Facts, Figure, Figures, Part, Select, Tone } from './ui.js';

const TONES = { steady: 'good', growing: 'warn', leaking: 'bad', unknown: 'quiet' };

export function Memory() {
  const usage = useAsked('/memory/usage', 5);
  const trend = useAsked('/memory/trend', 10);
  const [step, setStep] = useChoice('step', 'seconds');
  return html`
    <${Part} title="Verdict" asked=${usage}>${({ leak }) => html`<p class="verdict"><${Tone} tone=${TONES[leak.state]}>${leak.state}<//> ${leak.detail}</p>
      <details><summary>Its numbers and suspects</summary><${Facts} of=${leak} /></details>`}<//>
    <${Part} title="Now" asked=${usage}>${(data) => html`<${Figures}>
        <${Figure} name="resident set" value=${bytes(data.process.rss_bytes)} says="Memory of this process that is in RAM." />
        <${Figure} name="peak" value=${bytes(data.process.peak_rss_bytes)} says="The most that it was, since the start." />
        <${Figure} name="CPU" value=${withUnit(data.process.cpu_percent, '%')} says="CPU time of this process, of one core." /><//>
      <${Action} label="Give free pages back" title="Give free pages back to the system" path="/memory/gc" body=${{}} onDone=${usage.again} />
      ${data.last_release && html`<p class="note">${data.last_release.detail}</p>`}
      <details><summary>System, container, allocator, guard</summary><${Facts} of=${{ system: data.system, cgroup: data.cgroup, allocator: data.allocator, guard: data.guard }} /></details>
      <h3>Allocations by route</h3>${data.routes.length ? data.routes.map((route) => html`<article class="advice"><${Facts} of=${route} /></article>`) : html`<p class="missing">No route was measured: add pitcrew's allocator and MemoryLayer.</p>`}`}<//>
    <${Part} title="Trend" asked=${trend}>${(data) => {
      const points = data[step] ?? [];
      const times = points.map((point) => point.unix_ms / 1000);
      const values = points.map((point) => mib(point.rss_bytes));
      return html`<p><${Select} label="Step" value=${step} options=${['seconds', 'minutes', 'hours']} onChange=${setStep} /></p>
        <${Chart} title=${`Resident set, MiB (last ${digits(values.findLast((value) => value != null))})`} times=${times} lines=${[{ label: 'resident set', unit: 'MiB', values }]} />`;
    }}<//>`;
}

const mib = (value) => (value == null ? null : value / 1048576);
