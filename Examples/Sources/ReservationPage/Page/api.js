// Talks with the service. Requests that reserve are kept until they are answered, so that a reload sends the same one again.
import { language } from './words.js';

/** A refusal, with the service's own sentence. */
export class Refusal extends Error {
  constructor(problem, retryAfter) {
    super(problem.detail ?? 'error');
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

export async function ask(method, path, { body, key, token } = {}) {
  const headers = { 'Accept-Language': language };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin',
    signal: AbortSignal.timeout(25_000),
  });
  const answer = response.headers.get('Content-Type')?.includes('json') ? await response.json() : {};
  if (!response.ok) throw new Refusal({ status: response.status, ...answer }, Number(response.headers.get('Retry-After')) || null);
  return answer;
}

function read(storage, name) {
  try { return JSON.parse(storage.getItem(name)) ?? null; } catch { return null; }
}

/** Requests that were sent and not answered: key -> what was asked. */
export const pending = {
  all: () => read(sessionStorage, 'pending') ?? {},
  add(key, request) { sessionStorage.setItem('pending', JSON.stringify({ ...this.all(), [key]: request })); },
  remove(key) {
    const { [key]: _, ...others } = this.all();
    sessionStorage.setItem('pending', JSON.stringify(others));
  },
};

/** Requests that wait in a line. Kept beyond the page: it may be closed meanwhile. */
export const waitingLines = {
  all: () => read(localStorage, 'waiting') ?? {},
  add(key, request) { localStorage.setItem('waiting', JSON.stringify({ ...this.all(), [key]: request })); },
  remove(key) {
    const { [key]: _, ...others } = this.all();
    localStorage.setItem('waiting', JSON.stringify(others));
  },
};

/** Ids of this browser's reservations; what became of them the service knows. */
export const mine = {
  all: () => read(localStorage, 'reservations') ?? [],
  add(id) { localStorage.setItem('reservations', JSON.stringify([...new Set([...this.all(), id])].slice(-30))); },
  remove(id) { localStorage.setItem('reservations', JSON.stringify(this.all().filter(other => other !== id))); },
};

/**
 * Listens to an item for as long as the page is seen; one that is hidden needs no connection.
 * EventSource comes back by itself with the last version it saw. What it gives up, this begins anew.
 */
export function listen(item, onState, onConnection) {
  let source = null;
  let timer = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(`/v1/items/${item}/events`);
    source.onopen = () => onConnection(true);
    source.onerror = () => {
      onConnection(false);
      if (source?.readyState === EventSource.CLOSED) { close(); timer = setTimeout(open, 2000); }
    };
    for (const name of ['state', 'delta']) {
      source.addEventListener(name, event => onState(JSON.parse(event.data), name === 'state'));
    }
  };
  const close = () => { clearTimeout(timer); source?.close(); source = null; };
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  open();
}

/** Listens to a line until it is closed. A hidden page goes on listening: whoever does not is passed over in the end. */
export function listenToLine(key, { onStanding, onDecision, onConnection, onTrouble }) {
  let source = null;
  let timer = null;
  const open = () => {
    source = new EventSource(`/v1/requests/${encodeURIComponent(key)}/events`);
    source.onopen = () => onConnection(true);
    source.onerror = () => {
      onConnection(false);
      // Refused, and not only interrupted: asked for what it is, and tried anew.
      if (source.readyState === EventSource.CLOSED) { timer = setTimeout(open, 3000); onTrouble(); }
    };
    source.addEventListener('standing', event => onStanding(JSON.parse(event.data)));
    source.addEventListener('decided', event => onDecision(JSON.parse(event.data)));
  };
  open();
  return () => { clearTimeout(timer); source.onerror = null; source.close(); };
}
