// The seats: what state they are in, how they are shown, and the way through them by keys.
import { heldHere } from './holds.js';
import { t } from './words.js';

export const SEATS = 'concert';
const map = document.getElementById('map');
/** label -> { capacity, held, sold } */
const seats = new Map();
/** Seats that were asked for, and no answer came yet. */
const busy = new Set();
/** The seat that the Tab key reaches; from there, arrow keys go on. */
let roving = null;

function owner(label) {
  return heldHere().find(hold => hold.lines.some(line => line.item === SEATS && line.seat === label)) ?? null;
}

function stateOf(label) {
  if (owner(label)) return 'yours';
  const seat = seats.get(label);
  if (!seat || seat.sold > 0 || seat.capacity === 0) return 'sold';
  return seat.held > 0 ? 'held' : 'free';
}

export function isFree(label) { return !busy.has(label) && stateOf(label) === 'free'; }

export function setBusy(labels, isBusy) {
  for (const label of labels) {
    if (isBusy) busy.add(label);
    else busy.delete(label);
    paintSeat(label);
  }
}

/** What the service says of the seats: all of them, or those that changed. */
export function onSeats(event, isWhole) {
  const before = seats.size;
  if (isWhole) seats.clear();
  for (const bucket of event.buckets) seats.set(bucket.seat, bucket);
  if (isWhole && seats.size !== before || map.children.length === 0) build();
  for (const label of isWhole ? seats.keys() : event.buckets.map(bucket => bucket.seat)) paintSeat(label);
  const free = [...seats.values()].filter(seat => seat.capacity > seat.held + seat.sold).length;
  const own = heldHere().filter(hold => hold.state === 'held').flatMap(hold => hold.lines).filter(line => line.seat).length;
  document.getElementById('seats-left').textContent = t.seatsLeft(free, event.capacity, Math.max(0, event.held - own));
}

// Painting.

function button(label) { return map.querySelector(`[data-seat="${CSS.escape(label)}"]`); }

export function paintSeat(label) {
  const element = button(label);
  if (!element) return;
  const reservation = owner(label);
  const state = busy.has(label) ? 'pending' : stateOf(label);
  const isBooked = reservation?.state === 'confirmed';
  element.className = `seat ${state}${isBooked ? ' booked' : ''}`;
  const words = { free: t.free, held: t.heldByOthers, sold: t.sold, yours: isBooked ? t.booked : t.yours, pending: t.pending };
  element.setAttribute('aria-label', `${t.seat(label)}, ${words[state]}`);
  element.setAttribute('aria-disabled', String(state !== 'free'));
  element.title = `${label}: ${words[state]}`;
  if (state === 'yours' && !isBooked) paintRings(reservation);
}

/** The time that is left, around the seats of a hold. */
export function paintRings(reservation) {
  const share = reservation.length ? (reservation.endsAt - Date.now()) / 1000 / reservation.length : 1;
  for (const line of reservation.lines) {
    if (line.seat) button(line.seat)?.style.setProperty('--left', Math.max(0, Math.min(1, share)).toFixed(3));
  }
}

function build() {
  const rows = new Map();
  for (const label of seats.keys()) {
    const [, row, number] = /^(.*?)(\d+)$/.exec(label) ?? [null, label, '1'];
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push([Number(number), label]);
  }
  map.replaceChildren(...[...rows].sort().map(([row, places]) => rowElement(row, places)));
  roving = map.querySelector('.map-row button')?.dataset.seat ?? null;
  if (roving) button(roving).tabIndex = 0;
}

function rowElement(row, places) {
  const line = document.createElement('div');
  line.className = 'map-row';
  line.style.setProperty('--seats', places.length);
  const head = document.createElement('span');
  head.textContent = row;
  head.setAttribute('aria-hidden', 'true');
  line.append(head);
  for (const [number, label] of places.sort((a, b) => a[0] - b[0])) {
    const element = document.createElement('button');
    element.type = 'button';
    element.dataset.seat = label;
    element.textContent = number;
    element.tabIndex = -1;
    line.append(element);
  }
  return line;
}

// Focus.

export function focusSeat(label) {
  const element = label && button(label);
  if (!element) return;
  if (roving) button(roving).tabIndex = -1;
  roving = label;
  element.tabIndex = 0;
  element.focus();
}

export function returnToMap() { focusSeat(roving); }

function move(event) {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] };
  const step = steps[event.key];
  const label = event.target.dataset?.seat;
  if (!step || !label) return;
  event.preventDefault();
  const rows = [...map.children].map(row => [...row.querySelectorAll('button')]);
  const row = rows.findIndex(buttons => buttons.some(element => element.dataset.seat === label));
  const column = rows[row].findIndex(element => element.dataset.seat === label);
  const target = rows[Math.max(0, Math.min(rows.length - 1, row + step[0]))];
  focusSeat(target[Math.max(0, Math.min(target.length - 1, column + step[1]))].dataset.seat);
}

/** `onChoice(label)` hears which seat somebody wants. */
export function beginMap(onChoice) {
  map.addEventListener('keydown', move);
  map.addEventListener('click', event => {
    const label = event.target.closest('button')?.dataset.seat;
    if (!label) return;
    focusSeat(label);
    onChoice(label);
  });
}
