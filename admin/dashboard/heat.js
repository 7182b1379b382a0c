// How many requests took how long: as bars, and minute by minute as a map of heat. A table behind the map is for whoever cannot see it.
import { digits } from './format.js';
import { html, useEffect, useRef } from './html.js';

const ROW = 14;

/** A time in milliseconds as short as it can be said. */
const short = (ms) => (ms >= 1000 ? `${digits(ms / 1000)} s` : `${digits(ms)} ms`);

/** What a step is called: times up to its bound, or beyond the last one. */
const named = (bounds, step) => (step < bounds.length ? `≤ ${short(bounds[step])}` : `> ${short(bounds.at(-1))}`);

/** The steps from the first to the last that has something; none where nothing has. */
function met(columns) {
  const has = (step) => columns.some((counts) => counts[step] > 0);
  const steps = columns.length ? columns[0].map((_, step) => step) : [];
  const first = steps.find(has);
  return first === undefined ? [] : steps.slice(first, steps.findLast(has) + 1);
}

/** Requests by how long they took. */
export function Histogram({ of, title }) {
  const steps = met([of.counts]);
  if (!steps.length) return html`<p class="missing">None within the window.</p>`;
  const most = Math.max(...of.counts);
  const all = of.counts.reduce((sum, count) => sum + count, 0);
  return html`<figure class="bars"><figcaption>${title}</figcaption>${steps.map((step) => html`<div><span>${named(of.bounds_ms, step)}</span>
    <meter min="0" max=${most} value=${of.counts[step]} aria-label=${`${named(of.bounds_ms, step)}: ${digits(of.counts[step])} requests`}></meter>
    <span class="number">${digits((of.counts[step] / all) * 100)} %</span></div>`)}</figure>`;
}

/** `GET /response-times/heat-map`. */
export function HeatMap({ of, title }) {
  const place = useRef(null);
  const steps = met(of.counts).reverse();
  const sums = of.counts.map((counts) => counts.reduce((sum, count) => sum + count, 0));
  useEffect(() => {
    const canvas = place.current;
    if (!canvas) return undefined;
    const draw = () => {
      const width = Math.max(60, canvas.parentElement.clientWidth);
      const ratio = devicePixelRatio || 1;
      canvas.width = width * ratio;
      canvas.height = steps.length * ROW * ratio;
      const pen = canvas.getContext('2d');
      pen.scale(ratio, ratio);
      pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--line-1').trim();
      const most = Math.log1p(Math.max(...of.counts.flat()));
      const cell = Math.min(24, width / of.counts.length);
      of.counts.forEach((counts, column) => steps.forEach((step, row) => {
        if (!counts[step]) return;
        // One request shows too; what there is a thousand times is not a thousand times as dark.
        pen.globalAlpha = 0.15 + 0.85 * (Math.log1p(counts[step]) / most);
        pen.fillRect(column * cell, row * ROW, Math.max(1, cell - 1), ROW - 1);
      }));
    };
    draw();
    const resized = new ResizeObserver(draw);
    resized.observe(canvas.parentElement);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', draw);
    return () => {
      resized.disconnect();
      scheme.removeEventListener('change', draw);
    };
  }, [JSON.stringify(of.counts)]);
  if (!steps.length) return html`<p class="missing">No request has ended yet.</p>`;
  const clock = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const slowest = steps[0];
  const rows = of.at.map((at, column) => ({ at, counts: of.counts[column], sum: sums[column] })).filter((row) => row.sum > 0).slice(-30).reverse();
  return html`<figure class="heat">
    <figcaption>${title}; a column a minute, the darker the more requests, from ${clock(of.at[0])} to ${clock(of.at.at(-1))}</figcaption>
    <div class="map"><ol aria-hidden="true">${steps.map((step) => html`<li>${named(of.bounds_ms, step)}</li>`)}</ol>
      <div role="img" aria-label=${`${title}: ${digits(sums.reduce((sum, count) => sum + count, 0))} requests in ${of.at.length} minutes, the slowest ${named(of.bounds_ms, slowest)}`}><canvas ref=${place} /></div></div>
    <details><summary>as a table</summary><div class="scroll" tabindex="0" role="region" aria-label=${`${title}, as a table`}><table>
      <thead><tr><th scope="col">minute</th><th scope="col" class="number">requests</th><th scope="col">half of them</th><th scope="col">the slowest</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr><td>${clock(row.at)}</td><td class="number">${digits(row.sum)}</td>
        <td>${named(of.bounds_ms, middle(row))}</td><td>${named(of.bounds_ms, row.counts.findLastIndex((count) => count > 0))}</td></tr>`)}</tbody>
    </table></div></details>
  </figure>`;
}

/** The step that half of a minute's requests did not exceed. */
function middle({ counts, sum }) {
  let seen = 0;
  return counts.findIndex((count) => (seen += count) >= sum / 2);
}
