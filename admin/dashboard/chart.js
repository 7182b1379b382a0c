// A chart over time: uPlot for the eye, a table behind it for everybody else.
import { digits, moment, words } from './format.js';
import { html, useEffect, useRef } from './html.js';

const COLORS = ['--line-1', '--line-2', '--line-3', '--line-4'];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Vertical lines where something happened. */
const marking = (marks) => ({
  hooks: {
    drawAxes: [(plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = color('--mark');
      ctx.setLineDash([4, 4]);
      for (const mark of marks) {
        const x = plot.valToPos(new Date(mark.at) / 1000, 'x', true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    }],
  },
});

/**
 * `times` are RFC 3339 or seconds since 1970, with `fromZero` seconds from a beginning; `lines` are `{ label, unit, values }` of the same
 * length; `null` is a gap. All lines of one chart have one unit.
 */
export function Chart({ title, times, lines, marks = [], height = 180, isSpark = false, fromZero = false }) {
  const place = useRef(null);
  const seconds = times.map((time) => (typeof time === 'number' ? time : new Date(time) / 1000));
  const drawn = JSON.stringify([seconds.length, seconds.at(-1), marks.length, lines.map((line) => [line.label, line.values.at(-1)])]);
  useEffect(() => {
    const element = place.current;
    if (seconds.length < 2) return undefined;
    let plot;
    const draw = () => {
      plot?.destroy();
      const axis = { stroke: color('--quiet'), grid: { stroke: color('--border'), width: 1 }, ticks: { show: false } };
      const unit = lines[0]?.unit ?? '';
      plot = new uPlot({
        width: Math.max(120, element.clientWidth),
        height,
        cursor: { show: !isSpark },
        legend: { show: !isSpark && lines.length > 1 },
        scales: { x: { time: !fromZero }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? high * 1.1 : 1] } },
        axes: isSpark ? [{ show: false }, { show: false }] : [fromZero ? { ...axis, values: (_, marks) => marks.map((mark) => `${digits(mark)} s`) } : axis, { ...axis, size: 64, values: (_, marks) => marks.map((mark) => `${digits(mark)} ${unit}`) }],
        series: [{}, ...lines.map((line, place) => ({ label: line.label, stroke: color(COLORS[place % COLORS.length]), width: 1.5, points: { show: false }, spanGaps: false }))],
        plugins: marks.length ? [marking(marks)] : [],
      }, [seconds, ...lines.map((line) => line.values)], element);
    };
    draw();
    const resized = new ResizeObserver(() => plot.setSize({ width: Math.max(120, element.clientWidth), height }));
    resized.observe(element);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', draw);
    return () => {
      scheme.removeEventListener('change', draw);
      resized.disconnect();
      plot.destroy();
    };
  }, [drawn]);
  const last = lines.map((line) => `${line.label} ${digits(line.values.findLast((value) => value != null))} ${line.unit ?? ''}`).join(', ');
  if (seconds.length < 2) return html`<figure class=${isSpark ? 'spark' : 'chart'}><figcaption>${title}</figcaption><p class="missing">The first points come within a few seconds.</p></figure>`;
  return html`<figure class=${isSpark ? 'spark' : 'chart'}>
    <figcaption>${title}</figcaption>
    <div ref=${place} role="img" aria-label=${`${title}: last ${last}`} />
    ${!isSpark && html`<details><summary>as a table</summary><div class="scroll" tabindex="0" role="region" aria-label=${`${title}, as a table`}><table>
      <thead><tr><th scope="col">time</th>${lines.map((line) => html`<th scope="col" class="number">${line.label}${line.unit ? `, ${line.unit}` : ''}</th>`)}</tr></thead>
      <tbody>${seconds.slice(-60).map((second, place) => html`<tr><td>${fromZero ? `${digits(second)} s` : new Date(second * 1000).toLocaleTimeString()}</td>
        ${lines.map((line) => html`<td class="number">${digits(line.values.slice(-60)[place])}</td>`)}</tr>`)}</tbody>
    </table></div></details>`}
  </figure>`;
}

/** What happened while the lines were drawn, the newest first. */
function Marks({ of, since }) {
  const shown = of.filter((mark) => !since || new Date(mark.at) >= new Date(since)).slice(-50).reverse();
  if (!shown.length) return '';
  return html`<details><summary>What happened meanwhile (${shown.length})</summary><ul class="facts">${shown.map((mark) => html`<li>${moment(mark.at)}: ${words(mark.kind)}, ${mark.detail}</li>`)}</ul></details>`;
}

/** Lines of `GET /history`. */
export function HistoryChart({ history, metrics, title, isSpark, height }) {
  const found = metrics.map((metric) => history.series.find((series) => series.metric === metric)).filter(Boolean);
  const lines = found.map((series) => ({ label: series.metric.replaceAll('_', ' '), unit: series.unit, values: series.mean }));
  return html`<${Chart} title=${title} times=${history.at} lines=${lines} marks=${isSpark ? [] : history.marks} isSpark=${isSpark} height=${height} />
    ${!isSpark && html`<${Marks} of=${history.marks} since=${history.at[0]} />`}`;
}
