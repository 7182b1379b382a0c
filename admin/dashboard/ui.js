// The pieces that pages are made of.
import { Problem, act, curl } from './api.js';
import { ago, bytes, digits, moment, words } from './format.js';
import { html, useEffect, useRef, useState } from './html.js';

let identity = { name: '', role: 'reader' };
export const isOperator = () => identity.role === 'operator';
export const setIdentity = (known) => { identity = known; };

let parts = {};
/** Whether the app gave the router that part; of what it did not give nothing is asked. */
export const hasPart = (name) => parts[name] === true;
export const setParts = (known) => { parts = known; };

/** What there is to say instead of figures: why they are missing, and what to do. */
export const Missing = ({ children }) => html`<p class="missing">${children}</p>`;

/** A part of a page that may be on its way, broken, or unavailable; else its children are called with the data. */
export function Part({ title, asked, empty, children, note }) {
  const { data, problem, at, path } = asked;
  let inside;
  if (data?.unavailable) inside = html`<${Missing}>${data.unavailable}<//>`;
  else if (data != null) inside = children(data) ?? html`<${Missing}>${empty ?? 'There is nothing yet.'}<//>`;
  else if (problem) inside = null;
  else inside = html`<p class="loading" aria-busy="true">Loading …</p>`;
  return html`<section class="part" aria-label=${title}>
    <header><h2>${title}</h2>${path && html`<${Source} path=${path} at=${at} />`}</header>
    ${note && html`<p class="note">${note}</p>`}
    ${problem && html`<${Trouble} problem=${problem} at=${at} />`}
    ${inside}
  </section>`;
}

export const Trouble = ({ problem, at }) => html`<p class="trouble" role="alert">${problem.message}${at && html` What is shown is from ${ago(at)}.`}</p>`;

/** Where figures are from, how old they are, and the request for a terminal. */
export function Source({ path, at }) {
  return html`<details class="source">
    <summary aria-label=${`Source: GET ${path}`}>source</summary>
    <div class="bubble"><p><code>GET ${path}</code></p>${at && html`<p>asked at ${moment(at)}</p>`}<${Copy} text=${curl(path)} label="Copy as curl" /></div>
  </details>`;
}

export function Copy({ text, label }) {
  const [said, say] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say('copied');
    } catch {
      say(text);
    }
  };
  return html`<button type="button" class="small" onClick=${copy}>${label}</button> <span role="status">${said}</span>`;
}

/** A number with its name; `says` is what it is, over which time, and from where. */
export function Figure({ name, value, says, tone }) {
  return html`<div class=${`figure ${tone ?? ''}`}>
    <dt>${words(name)}${says && html` <${Why} text=${says} of=${words(name)} />`}</dt><dd>${value}</dd>
  </div>`;
}

export const Figures = ({ children }) => html`<dl class="figures">${children}</dl>`;

export const Why = ({ text, of }) => html`<details class="why"><summary aria-label=${`What is ${of}?`}>?</summary><div class="bubble">${text}</div></details>`;

/** What pitcrew itself costs: a look a second takes so many microseconds of it. */
export const Cost = ({ of }) => html`${of.sample_us == null ? '–' : digits(of.sample_us / 1e4)} % of a core to look each second, ${bytes(of.history_bytes)} of history${of.asked_database_total == null ? '' : `, ${digits(of.asked_database_total)} times asked the database`}, ${digits(of.listeners)} listening`;

export const Tone = ({ tone, children }) => html`<span class=${`tone ${tone}`}>${children}</span>`;

/** A table: columns are `[title, row => cell, { number, sort }]`. Sorting by a column is by its `sort`, else by what the cell shows. */
export function Table({ caption, columns, rows, empty, onRow, keyOf }) {
  const [order, setOrder] = useState(null);
  if (!rows || rows.length === 0) return html`<${Missing}>${empty ?? 'There is nothing yet.'}<//>`;
  const sorted = [...rows];
  if (order) {
    const [, cell, how] = columns[order.column];
    const of = how?.sort ?? cell;
    sorted.sort((a, b) => {
      const [x, y] = [of(a) ?? -Infinity, of(b) ?? -Infinity];
      return (x < y ? -1 : x > y ? 1 : 0) * (order.down ? -1 : 1);
    });
  }
  const by = (column) => () => setOrder((known) => ({ column, down: known?.column === column ? !known.down : true }));
  const direction = (column) => (order?.column === column ? (order.down ? 'descending' : 'ascending') : undefined);
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${`${caption}, a table`}><table>
    <caption>${caption}</caption>
    <thead><tr>${columns.map(([title, , how], column) => html`<th scope="col" class=${how?.number ? 'number' : ''} aria-sort=${direction(column)}>
      ${title ? html`<button type="button" onClick=${by(column)}>${title}</button>` : html`<span class="hidden">actions</span>`}</th>`)}</tr></thead>
    <tbody>${sorted.map((row, place) => html`<tr key=${keyOf ? keyOf(row) : place}>
      ${columns.map(([, cell, how], column) => {
        const inside = cell(row);
        return html`<td class=${how?.number ? 'number' : ''}>${onRow && column === 0 ? html`<button type="button" class="link" onClick=${() => onRow(row)}>${inside}</button>` : inside}</td>`;
      })}</tr>`)}</tbody>
  </table></div>`;
}

export function Select({ label, value, options, onChange }) {
  return html`<label class="select">${label} <select value=${value} onChange=${(event) => onChange(event.target.value)}>
    ${options.map((option) => html`<option value=${option}>${option}</option>`)}</select></label>`;
}

/** How far back charts go. */
export const Span = ({ of }) => html`<p><${Select} label="Over the last" value=${of.span} options=${of.spans} onChange=${of.choose} /></p>`;

/**
 * A button for an action: first its plan (`dry_run`), then, where `typed` is given, its word typed by hand, then the action.
 * Readers see that there is an action, and who may do it.
 */
export function Action({ label, title, method = 'POST', path, body, typed, planned = true, danger, onDone }) {
  const [open, setOpen] = useState(false);
  if (!isOperator()) return html`<button type="button" disabled title="An operator's token may do this">${label}</button>`;
  return html`<button type="button" class=${danger ? 'danger' : ''} onClick=${() => setOpen(true)}>${label}</button>
    ${open && html`<${Dialog} ...${{ label, title, method, path, body, typed, planned, onDone }} onClose=${() => setOpen(false)} />`}`;
}

function Dialog({ label, title, method, path, body, typed, planned, onDone, onClose }) {
  const dialog = useRef(null);
  const [plan, setPlan] = useState(null);
  const [done, setDone] = useState(null);
  const [problem, setProblem] = useState(null);
  const [word, setWord] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    dialog.current.showModal();
    if (!planned) return;
    act(method, path, { ...body, dry_run: true }).then(setPlan, setProblem);
  }, []);
  const go = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      setDone(await act(method, path, planned || body ? { ...body } : undefined));
      onDone?.();
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, String(error)));
    }
    setBusy(false);
  };
  const mayGo = !busy && !done && (!typed || word === typed) && (!planned || plan);
  const closed = () => {
    onClose();
    if (done) onDone?.();
  };
  return html`<dialog ref=${dialog} onClose=${closed} aria-label=${title}>
    <form method="dialog" onSubmit=${go}>
      <h2>${title}</h2>
      ${planned && !plan && !problem && html`<p class="loading" aria-busy="true">Planning, nothing is done yet …</p>`}
      ${plan && !done && html`<h3>What would be done</h3><${Facts} of=${plan} />`}
      ${problem && html`<p class="trouble" role="alert">${problem.message}</p>`}
      ${done && html`<h3>Done</h3><${Facts} of=${done} />`}
      ${typed && !done && html`<p><label>Type <b>${typed}</b> to go on <input value=${word} autocomplete="off" onInput=${(event) => setWord(event.target.value)} /></label></p>`}
      <p><${Copy} text=${curl(path, method, body)} label="Copy as curl" /></p>
      <p class="buttons"><button type="button" onClick=${() => dialog.current.close()}>${done ? 'Close' : 'Cancel'}</button>
        ${!done && html`<button type="submit" class="go" disabled=${!mayGo}>${label}</button>`}</p>
    </form>
  </dialog>`;
}

/** Any answer, as names and values. */
export function Facts({ of }) {
  if (of == null) return '–';
  if (typeof of !== 'object') return String(of);
  if (Array.isArray(of)) return of.length ? html`<ul class="facts">${of.map((one) => html`<li><${Facts} of=${one} /></li>`)}</ul>` : '–';
  return html`<dl class="facts">${Object.entries(of).map(([name, value]) => html`<div><dt>${words(name)}</dt><dd><${Facts} of=${value} /></dd></div>`)}</dl>`;
}
