// API: every route, from the router's own OpenAPI document.
import { curl } from './api.js';
import { html } from './html.js';
import { useAsked } from './state.js';
import { Copy, Cost, Part, Table } from './ui.js';

export function Api() {
  const document = useAsked('/openapi.json', 3600);
  const config = useAsked('/config', 60);
  return html`<${Part} title="Routes" asked=${document} note="The document itself: openapi.json (OpenAPI 3.1).">${(data) => {
    const rows = Object.entries(data.paths).flatMap(([path, methods]) => Object.entries(methods)
      .filter(([, operation]) => operation?.responses)
      .map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
    return html`<${Table} caption="Routes" rows=${rows} keyOf=${(row) => `${row.method} ${row.path}`} columns=${[
      ['Method', (row) => row.method],
      ['Path', (row) => html`<code>${row.path}</code>`, { sort: (row) => row.path }],
      ['What', (row) => row.operation.summary ?? row.operation.description],
      ['', (row) => html`<${Copy} text=${curl(row.path, row.method, row.method === 'POST' ? {} : undefined)} label="curl" />`],
    ]} />`;
  }}<//>
  <${Part} title="What pitcrew itself costs" asked=${config}>${(data) => html`<p><${Cost} of=${data.cost} />; ${data.cost.panics} panics caught.</p>`}<//>`;
}
