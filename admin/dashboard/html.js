// One place that binds htm to Preact: every module takes `html` and the hooks from here.
import htm from './htm.js';
import { h, render } from './preact.js';

export { render };
export { useCallback, useEffect, useMemo, useRef, useState } from './hooks.js';
export const html = htm.bind(h);
