// Numbers, times and sizes as people read them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value) {
  if (value == null) return '–';
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${digits(value)} ${UNITS[unit]}`;
}

/** Three digits that matter, thousands in groups. */
export function digits(value) {
  if (value == null || Number.isNaN(value)) return '–';
  const places = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { maximumFractionDigits: places });
}

export function withUnit(value, unit) {
  if (value == null) return '–';
  if (unit === 'bytes') return bytes(value);
  return unit ? `${digits(value)} ${unit}` : digits(value);
}

export function duration(seconds) {
  if (seconds == null) return '–';
  if (seconds < 90) return `${digits(seconds)} s`;
  if (seconds < 5400) return `${digits(seconds / 60)} min`;
  if (seconds < 129600) return `${digits(seconds / 3600)} h`;
  return `${digits(seconds / 86400)} d`;
}

/** A moment in the reader's own zone; the title has it in UTC. */
export const moment = (text) => (text ? new Date(text).toLocaleString() : '–');

export function ago(text) {
  if (!text) return 'never';
  const seconds = Math.max(0, (Date.now() - new Date(text)) / 1000);
  return seconds < 5 ? 'now' : `${duration(Math.round(seconds))} ago`;
}

/** `api_p95` to `API p95`, `dead_percent` to `dead percent`. */
export const words = (name) => name.replaceAll('_', ' ').replace(/\bapi\b/, 'API').replace(/\bcpu\b/, 'CPU').replace(/\bl1\b/, 'L1').replace(/\bl2\b/, 'L2');
