// The reservations of this browser: what they are, how long they last, and what can be done with them.
import { ask, mine, Refusal } from './api.js';
import { paintRings, paintSeat } from './map.js';
import { hold } from './reserve.js';
import { announce, name, notice } from './say.js';
import { clock, t } from './words.js';

const list = document.getElementById('holds');
/** id -> what the service said last, with the moment at which its time is up. */
const holds = new Map();

/** Reservations of this browser that are held or booked. */
export function heldHere() { return [...holds.values()]; }

/** What a request came to; of one that is sent again later, that may be over already. */
export function settle(reservation) {
  if (reservation.state === 'held' || reservation.state === 'confirmed') {
    mine.add(reservation.id);
    remember(reservation);
  } else if (reservation.state === 'expired') {
    expire(reservation);
  } else {
    forget(reservation.id);
  }
}

/** Asks for what became of all of them: another page of this browser may have changed something. */
export function lookAgain() { for (const id of mine.all()) refresh(id); }

async function refresh(id) {
  try {
    const reservation = await ask('GET', `/v1/reservations/${id}`);
    // Somebody else of this browser, another page, may have seen its end before.
    if (mine.all().includes(id)) settle(reservation);
  } catch (error) {
    if (error instanceof Refusal && error.problem.status === 404) forget(id);
    // Anything else may pass: asked again when the connection is back.
  }
}

function remember(reservation) {
  reservation.endsAt = Date.now() + (reservation.expiresInSeconds ?? 0) * 1000;
  reservation.length = Math.max(holds.get(reservation.id)?.length ?? 0, reservation.expiresInSeconds ?? 0);
  holds.set(reservation.id, reservation);
  paint();
  for (const line of reservation.lines) if (line.seat) paintSeat(line.seat);
}

function forget(id) {
  const reservation = holds.get(id);
  holds.delete(id);
  mine.remove(id);
  paint();
  for (const line of reservation?.lines ?? []) if (line.seat) paintSeat(line.seat);
}

function expire(reservation) {
  forget(reservation.id);
  const label = name(reservation.lines);
  notice(t.expired(label), { label: t.holdAgain(label), action: () => hold(reservation.lines) });
}

// What somebody does with one: 'confirm', 'extend' or 'cancel'.

async function change(id, how, button) {
  const reservation = holds.get(id);
  if (!reservation) return;
  button.disabled = true;
  try {
    const [method, path] = how === 'cancel' ? ['DELETE', ''] : ['POST', `/${how}`];
    // Sent twice it does the same: what it asks for is a state.
    const answer = await ask(method, `/v1/reservations/${id}${path}`, how === 'extend' ? { body: {} } : {});
    changed(reservation, how, answer);
  } catch (error) {
    const again = (label, way = how) => ({ label, action: () => change(id, way, button) });
    if (!(error instanceof Refusal)) notice(t.lost, again(t.tryNow));
    else if (['hold-expired', 'not-found'].includes(error.problem.code)) expire(reservation);
    else if (error.problem.code === 'extension-limit') notice(error.message, again(t.confirm, 'confirm'));
    else if (error.problem.retryable) notice(error.message, again(t.again));
    else notice(error.message, { label: t.lookAgain, action: () => refresh(id) });
  } finally {
    button.disabled = false;
  }
}

function changed(reservation, how, answer) {
  const label = name(reservation.lines);
  if (how === 'cancel') {
    forget(reservation.id);
    announce(t.released(label));
    document.getElementById('holds-title').focus();
  } else {
    remember(answer);
    announce(how === 'confirm' ? t.confirmed(label) : t.extended(label, clock(answer.expiresInSeconds)));
  }
}

// Painting.

function paint() {
  const order = (a, b) => a.state === b.state ? a.createdAt.localeCompare(b.createdAt) : a.state === 'held' ? -1 : 1;
  for (const element of [...list.children]) if (!holds.has(element.dataset.id)) element.remove();
  for (const reservation of heldHere().sort(order)) {
    let element = find(reservation.id);
    if (element?.dataset.state !== reservation.state) {
      const fresh = holdElement(reservation);
      element?.replaceWith(fresh);
      element = fresh;
    }
    list.append(element);
  }
  document.getElementById('holds-empty').hidden = holds.size > 0;
  tick();
}

function find(id) { return list.querySelector(`[data-id="${CSS.escape(id)}"]`); }

function holdElement(reservation) {
  const isHeld = reservation.state === 'held';
  const element = document.createElement('li');
  element.className = isHeld ? 'hold' : 'hold booked';
  element.dataset.id = reservation.id;
  element.dataset.state = reservation.state;
  const head = document.createElement('div');
  head.className = 'hold-head';
  const title = document.createElement('strong');
  title.textContent = name(reservation.lines);
  const time = document.createElement('span');
  time.className = isHeld ? 'clock' : 'muted';
  time.textContent = isHeld ? '' : `✓ ${t.booked}`;
  head.append(title, time);
  element.append(head);
  if (isHeld) element.append(timeElement(), choices(reservation));
  return element;
}

function timeElement() {
  const progress = document.createElement('progress');
  progress.setAttribute('aria-label', t.left);
  return progress;
}

function choices(reservation) {
  const row = document.createElement('div');
  row.className = 'row';
  for (const [label, how] of [[t.confirm, 'confirm'], [t.extend, 'extend'], [t.release, 'cancel']]) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.setAttribute('aria-label', `${label}: ${name(reservation.lines)}`);
    if (how === 'confirm') button.className = 'primary';
    button.addEventListener('click', () => change(reservation.id, how, button));
    row.append(button);
  }
  return row;
}

// Time passing.

/** What passes by itself, looked at twice in a second. */
export function tick() {
  for (const reservation of heldHere()) {
    if (reservation.state !== 'held') continue;
    const left = (reservation.endsAt - Date.now()) / 1000;
    // The service decides; a moment later it has.
    if (left < -0.7) { refreshExpired(reservation.id); continue; }
    countDown(reservation, left);
    paintRings(reservation);
  }
}

/** A hold is warned of once in each of its terms. */
const warned = new Set();

function countDown(reservation, left) {
  const element = find(reservation.id);
  if (!element) return;
  element.querySelector('.clock').textContent = clock(left);
  const progress = element.querySelector('progress');
  progress.max = reservation.length || 1;
  progress.value = Math.max(0, left);
  const isLong = reservation.length > 60;
  element.classList.toggle('soon', left <= 60 && isLong || left <= reservation.length / 4);
  const term = reservation.id + reservation.expiresAt;
  if (left <= 60 && left > 55 && isLong && !warned.has(term)) {
    warned.add(term);
    announce(t.soon(name(reservation.lines)));
  }
}

const asking = new Set();
async function refreshExpired(id) {
  if (asking.has(id)) return;
  asking.add(id);
  await refresh(id);
  setTimeout(() => asking.delete(id), 1000);
}
