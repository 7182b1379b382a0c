// Audit: who did what, and whether anybody has changed it since.
import { url } from './api.js';
import { moment } from './format.js';
import { html } from './html.js';
import { useAsked, useChoice } from './state.js';
import { Part, Table, Tone } from './ui.js';

export function Audit() {
  const [who, setWho] = useChoice('who', '');
  const [name, setName] = useChoice('name', '');
  const query = new URLSearchParams({ limit: '200', ...(who && { who }), ...(name && { name }) });
  const audit = useAsked(`/audit?${query}`, 10);
  return html`<form class="fields" onSubmit=${(event) => event.preventDefault()}>
      <label>Who <input value=${who} onChange=${(event) => setWho(event.target.value)} /></label>
      <label>Action <input value=${name} placeholder="POST /cache/clear" onChange=${(event) => setName(event.target.value)} /></label>
      <a href=${url(`/audit?${query}&format=csv`).href} download="audit.csv">CSV</a>
      <a href=${url(`/audit?${query}`).href} download="audit.json">JSON</a>
    </form>
    <${Part} title="Chain" asked=${audit}>${({ chain }) => html`<p><${Tone} tone=${chain.is_intact ? 'good' : 'bad'}>${chain.is_intact ? 'intact' : 'broken'}<//> ${chain.detail}. Kept in ${chain.kept_in}; ${chain.dropped_total} dropped.</p>`}<//>
    <${Part} title="Entries" asked=${audit}>${(data) => html`<${Table} caption="The newest first" rows=${data.entries} keyOf=${(row) => row.seq} empty="Nobody has done anything yet." columns=${[
      ['No.', (row) => row.seq, { number: true }],
      ['When', (row) => moment(row.at), { sort: (row) => row.at }],
      ['Who', (row) => row.who],
      ['Action', (row) => row.name],
      ['', (row) => row.kind + (row.dry_run ? ', dry run' : '')],
      ['Asked', (row) => (row.asked ? html`<code>${row.asked}</code>` : '–')],
      ['Outcome', (row) => row.outcome ?? row.status ?? '–', { sort: (row) => row.outcome ?? row.status }],
    ]} />`}<//>`;
}
