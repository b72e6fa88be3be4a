// The page of whoever wants a seat or a poster.
import { ask, listen, mine, pending, Refusal, waitingLines } from './api.js';
import { wait } from './line.js';
import { clock, language, t, translate } from './words.js';

const $ = id => document.getElementById(id);
const SEATS = 'concert';
const POSTER = 'poster';
/** Reservations of this browser: id -> what the service said last, with the moment at which its time is up. */
const holds = new Map();
/** Seats: label -> { capacity, held, sold }. */
const seats = new Map();
const busySeats = new Set();
let poster = null;
let quantity = 1;
let updatedAt = 0;
let isConnected = false;
let rovingSeat = null;
let waiting = null;

// Saying what happened.

function announce(text) { $('announcer').textContent = text; }

/** A message with at most one thing to do next. */
function notice(text, { action, label, calm = false, id, onClose } = {}) {
  if (id) document.querySelector(`.notice[data-id="${CSS.escape(id)}"]`)?.remove();
  const box = document.createElement('div');
  box.className = calm ? 'notice calm' : 'notice';
  if (id) box.dataset.id = id;
  box.setAttribute('role', calm ? 'status' : 'alert');
  const words = document.createElement('p');
  words.textContent = text;
  const buttons = document.createElement('div');
  buttons.className = 'buttons';
  const button = (name, act) => {
    const element = document.createElement('button');
    element.type = 'button';
    element.textContent = name;
    element.addEventListener('click', () => {
      // Whoever closed it with the keyboard must not be thrown back to the top.
      const hadFocus = box.contains(document.activeElement);
      box.remove();
      if (hadFocus) focusSeat(rovingSeat);
      act?.();
    });
    buttons.append(element);
  };
  if (label) button(label, action);
  button(t.dismiss, onClose);
  box.append(words, buttons);
  $('notices').prepend(box);
  while ($('notices').children.length > 3) $('notices').lastChild.remove();
  return box;
}

function name(lines) {
  return lines.map(line => line.seat ? t.seat(line.seat) : `${$('poster-title').textContent} × ${line.quantity}`).join(', ');
}

/** What went wrong, in the service's words, and the one thing that helps. */
function explain(refusal, request) {
  const problem = refusal.problem;
  const next = (label, action) => notice(refusal.message, { label, action });
  switch (problem.code) {
    case 'seat-unavailable':
      if (problem.alternatives?.length) {
        const seat = problem.alternatives[0].seat;
        return next(t.instead(seat), () => holdSeat(seat, true));
      }
      return next(t.chooseAnother, () => focusSeat(rovingSeat));
    case 'out-of-stock':
      if (problem.available > 0) return next(t.takeLeft(problem.available), () => hold([{ item: POSTER, quantity: problem.available }]));
      if (problem.retryable && problem.nextReleaseInSeconds !== undefined) {
        return next(t.waitFor(clock(problem.nextReleaseInSeconds)), () => waitFor(request, problem.nextReleaseInSeconds));
      }
      return next(t.chooseAnother, () => focusSeat(rovingSeat));
    case 'turn-missed':
    case 'withdrawn':
      return next(t.lineUpAgain, () => hold(request.lines));
    case 'queue-limit': return next(t.toLine, () => $('line').scrollIntoView({ block: 'nearest' }));
    case 'hold-limit': return next(t.toHolds, () => $('holds-title').focus());
    case 'unauthenticated': return next(t.reload, () => location.reload());
    default:
      return problem.retryable && request
        ? notice(refusal.message, {
          label: t.again, action: () => send(request.key, request), onClose: () => pending.remove(request.key),
        })
        : next(t.lookAgain, () => location.reload());
  }
}

// Reserving.

/** The same wish is one request, however often it is sent. */
function hold(lines) {
  const key = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), n => n.toString(16)).join('-');
  const request = { lines, key };
  pending.add(key, request);
  return send(key, request);
}

async function send(key, request, attempt = 1) {
  const seatsOfIt = request.lines.map(line => line.seat).filter(Boolean);
  for (const seat of seatsOfIt) { busySeats.add(seat); paintSeat(seat); }
  let isKept = false;
  try {
    const reservation = await ask('POST', '/v1/reservations', { body: { lines: request.lines }, key });
    if (reservation.state === 'waiting') lineUp(key, request);
    pending.remove(key);
    document.querySelector(`.notice[data-id="${CSS.escape(key)}"]`)?.remove();
    if (reservation.state === 'waiting') return announce(t.inLine(name(request.lines)));
    settle(reservation);
    if (reservation.state === 'held') announce(t.heldFor(name(reservation.lines), clock(reservation.expiresInSeconds)));
  } catch (error) {
    if (error instanceof Refusal && error.problem.status !== 500) {
      const isTransient = [429, 503].includes(error.problem.status) || error.problem.code === 'idempotency-in-progress';
      if (isTransient && attempt <= 3) {
        await new Promise(done => setTimeout(done, Math.min(error.retryAfter ?? 1, 5) * 1000));
        return send(key, request, attempt + 1);
      }
      // A refusal had no effect. What may be tried again keeps its number for that.
      if (!isTransient) pending.remove(key);
      explain(error, request);
    } else {
      // No answer: nobody knows. The same request is sent again until somebody says what became of it.
      isKept = true;
      const seconds = Math.min(2 ** attempt, 15);
      const timer = setTimeout(() => send(key, request, attempt + 1), seconds * 1000);
      notice(t.offline(name(request.lines)), {
        id: key, label: t.tryNow, action: () => { clearTimeout(timer); send(key, request, attempt + 1); },
      });
      return;
    }
  } finally {
    for (const seat of isKept ? [] : seatsOfIt) { busySeats.delete(seat); paintSeat(seat); }
    paintPoster();
  }
}

/** Until it is decided. */
function lineUp(key, request) {
  const label = name(request.lines);
  wait(key, request, label, {
    held(reservation) {
      settle(reservation);
      if (reservation.state === 'held') announce(t.heldFor(label, clock(reservation.expiresInSeconds)));
    },
    refused: refusal => explain(refusal, request),
    left: () => notice(t.leftLine(label), { calm: true, label: t.lineUpAgain, action: () => hold(request.lines) }),
    unreachable: () => notice(t.lost, { calm: true }),
  });
}

function holdSeat(label, isFocused = false) {
  if (busySeats.has(label) || stateOf(label) !== 'free') return;
  if (isFocused) focusSeat(label);
  hold([{ item: SEATS, seat: label }]);
}

/** What a request came to; of one that is sent again later, that may be over already. */
function settle(reservation) {
  if (reservation.state === 'held' || reservation.state === 'confirmed') {
    mine.add(reservation.id);
    remember(reservation);
  } else if (reservation.state === 'expired') {
    expire(reservation);
  } else {
    forget(reservation.id);
  }
}

/** Waits for the first hold of somebody else to end, and then asks anew. */
function waitFor(request, seconds) {
  clearTimeout(waiting);
  const ask = () => hold(request.lines);
  waiting = setTimeout(ask, (seconds + 1) * 1000);
  notice(t.waiting(name(request.lines), clock(seconds)), { calm: true, label: t.stop, action: () => clearTimeout(waiting) });
}

function remember(reservation) {
  reservation.endsAt = Date.now() + (reservation.expiresInSeconds ?? 0) * 1000;
  reservation.length = Math.max(holds.get(reservation.id)?.length ?? 0, reservation.expiresInSeconds ?? 0);
  holds.set(reservation.id, reservation);
  paintHolds();
  for (const line of reservation.lines) if (line.seat) paintSeat(line.seat);
}

function forget(id) {
  const reservation = holds.get(id);
  holds.delete(id);
  mine.remove(id);
  paintHolds();
  for (const line of reservation?.lines ?? []) if (line.seat) paintSeat(line.seat);
}

async function change(id, how, button) {
  const reservation = holds.get(id);
  if (!reservation) return;
  button.disabled = true;
  const label = name(reservation.lines);
  try {
    const [method, path] = how === 'cancel' ? ['DELETE', ''] : ['POST', `/${how}`];
    // Sent twice it does the same: what it asks for is a state.
    const answer = await ask(method, `/v1/reservations/${id}${path}`, how === 'extend' ? { body: {} } : {});
    if (how === 'cancel') {
      forget(id);
      announce(t.released(label));
      $('holds-title').focus();
    } else {
      remember(answer);
      announce(how === 'confirm' ? t.confirmed(label) : t.extended(label, clock(answer.expiresInSeconds)));
    }
  } catch (error) {
    if (!(error instanceof Refusal)) {
      notice(t.lost, { label: t.tryNow, action: () => change(id, how, button) });
    } else if (error.problem.code === 'hold-expired' || error.problem.code === 'not-found') {
      expire(reservation);
    } else if (error.problem.code === 'extension-limit') {
      notice(error.message, { label: t.confirm, action: () => change(id, 'confirm', button) });
    } else if (error.problem.retryable) {
      notice(error.message, { label: t.again, action: () => change(id, how, button) });
    } else {
      notice(error.message, { label: t.lookAgain, action: () => refresh(id) });
    }
  } finally {
    button.disabled = false;
  }
}

function expire(reservation) {
  forget(reservation.id);
  const label = name(reservation.lines);
  notice(t.expired(label), { label: t.holdAgain(label), action: () => hold(reservation.lines) });
}

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

// Painting.

function owner(label) {
  for (const reservation of holds.values()) {
    if (reservation.lines.some(line => line.item === SEATS && line.seat === label)) return reservation;
  }
  return null;
}

function stateOf(label) {
  if (owner(label)) return 'yours';
  const seat = seats.get(label);
  if (!seat || seat.sold > 0 || seat.capacity === 0) return 'sold';
  return seat.held > 0 ? 'held' : 'free';
}

function seatButton(label) { return $('map').querySelector(`[data-seat="${CSS.escape(label)}"]`); }

function paintSeat(label) {
  const button = seatButton(label);
  if (!button) return;
  const reservation = owner(label);
  const state = busySeats.has(label) ? 'pending' : stateOf(label);
  const isBooked = reservation?.state === 'confirmed';
  button.className = `seat ${state}${isBooked ? ' booked' : ''}`;
  const words = { free: t.free, held: t.heldByOthers, sold: t.sold, yours: isBooked ? t.booked : t.yours, pending: t.pending };
  button.setAttribute('aria-label', `${t.seat(label)}, ${words[state]}`);
  button.setAttribute('aria-disabled', String(state !== 'free'));
  button.title = `${label}: ${words[state]}`;
  if (state === 'yours' && !isBooked) paintRing(button, reservation);
}

function paintRing(button, reservation) {
  const share = reservation.length ? (reservation.endsAt - Date.now()) / 1000 / reservation.length : 1;
  button.style.setProperty('--left', Math.max(0, Math.min(1, share)).toFixed(3));
}

function buildMap() {
  const rows = new Map();
  for (const label of seats.keys()) {
    const [, row, number] = /^(.*?)(\d+)$/.exec(label) ?? [null, label, '1'];
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push([Number(number), label]);
  }
  const map = $('map');
  map.replaceChildren();
  for (const [row, places] of [...rows].sort()) {
    const line = document.createElement('div');
    line.className = 'map-row';
    line.style.setProperty('--seats', places.length);
    const head = document.createElement('span');
    head.textContent = row;
    head.setAttribute('aria-hidden', 'true');
    line.append(head);
    for (const [number, label] of places.sort((a, b) => a[0] - b[0])) {
      const button = document.createElement('button');
      button.type = 'button';
      button.dataset.seat = label;
      button.textContent = number;
      button.tabIndex = -1;
      line.append(button);
    }
    map.append(line);
  }
  rovingSeat = map.querySelector('.map-row button')?.dataset.seat ?? null;
  if (rovingSeat) seatButton(rovingSeat).tabIndex = 0;
}

function focusSeat(label) {
  const button = label && seatButton(label);
  if (!button) return;
  if (rovingSeat) seatButton(rovingSeat).tabIndex = -1;
  rovingSeat = label;
  button.tabIndex = 0;
  button.focus();
}

function paintHolds() {
  const list = $('holds');
  const sorted = [...holds.values()].sort((a, b) => (a.state === b.state ? a.createdAt.localeCompare(b.createdAt) : a.state === 'held' ? -1 : 1));
  for (const element of [...list.children]) if (!holds.has(element.dataset.id)) element.remove();
  for (const reservation of sorted) {
    let element = list.querySelector(`[data-id="${reservation.id}"]`);
    if (!element || element.dataset.state !== reservation.state) {
      const fresh = holdElement(reservation);
      element?.replaceWith(fresh);
      element = fresh;
    }
    list.append(element);
  }
  $('holds-empty').hidden = holds.size > 0;
  tick();
}

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
  if (!isHeld) return element;
  const progress = document.createElement('progress');
  progress.setAttribute('aria-label', t.left);
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
  element.append(progress, row);
  return element;
}

function paintPoster() {
  if (!poster) return;
  $('poster-left').textContent = poster.available;
  $('poster-of').textContent = t.of(poster.capacity);
  const [sold, held] = $('poster-bar').children;
  sold.style.width = `${100 * poster.sold / Math.max(1, poster.capacity)}%`;
  held.style.width = `${100 * poster.held / Math.max(1, poster.capacity)}%`;
  $('poster-bar').setAttribute('aria-label', t.stockText(poster.sold, poster.held, poster.available));
  const own = [...holds.values()].filter(r => r.state === 'held').flatMap(r => r.lines)
    .filter(line => line.item === POSTER).reduce((sum, line) => sum + line.quantity, 0);
  const others = Math.max(0, poster.held - own);
  $('poster-note').textContent = others > 0 ? t.heldNow(others) : poster.available + own === 0 ? t.allSold : t.plenty;
  $('quantity').textContent = quantity;
  $('less').disabled = quantity <= 1;
  $('more').disabled = quantity >= 4;
}

const warned = new Set();

/** Once in a second: what passes by itself. */
function tick() {
  for (const reservation of [...holds.values()]) {
    if (reservation.state !== 'held') continue;
    const left = (reservation.endsAt - Date.now()) / 1000;
    // The service decides; a moment later it has.
    if (left < -0.7) { refreshExpired(reservation); continue; }
    const element = $('holds').querySelector(`[data-id="${reservation.id}"]`);
    if (element) {
      element.querySelector('.clock').textContent = clock(left);
      const progress = element.querySelector('progress');
      progress.max = reservation.length || 1;
      progress.value = Math.max(0, left);
      const isSoon = left <= 60 && reservation.length > 60 || left <= reservation.length / 4;
      element.classList.toggle('soon', isSoon);
      if (left <= 60 && left > 55 && reservation.length > 60 && !warned.has(reservation.id + reservation.expiresAt)) {
        warned.add(reservation.id + reservation.expiresAt);
        announce(t.soon(name(reservation.lines)));
      }
    }
    for (const line of reservation.lines) {
      const button = line.seat && seatButton(line.seat);
      if (button) paintRing(button, reservation);
    }
  }
  const live = $('live');
  live.classList.toggle('on', isConnected);
  $('live-text').textContent = !updatedAt ? t.connecting : isConnected ? t.live : t.lost;
}

const asking = new Set();
async function refreshExpired(reservation) {
  if (asking.has(reservation.id)) return;
  asking.add(reservation.id);
  await refresh(reservation.id);
  setTimeout(() => asking.delete(reservation.id), 1000);
}

// Events.

function onSeats(event, isWhole) {
  updatedAt = Date.now();
  const before = seats.size;
  if (isWhole) seats.clear();
  for (const bucket of event.buckets) seats.set(bucket.seat, bucket);
  if (isWhole && seats.size !== before || $('map').children.length === 0) buildMap();
  for (const label of isWhole ? seats.keys() : event.buckets.map(bucket => bucket.seat)) paintSeat(label);
  const free = [...seats.values()].filter(seat => seat.capacity > seat.held + seat.sold).length;
  const own = [...holds.values()].filter(r => r.state === 'held').flatMap(r => r.lines).filter(line => line.seat).length;
  $('seats-left').textContent = t.seatsLeft(free, event.capacity, Math.max(0, event.held - own));
  tick();
}

function onConnection(isOn) {
  if (isOn && !isConnected) for (const id of mine.all()) refresh(id);
  isConnected = isOn;
  tick();
}

function moveInMap(event) {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] };
  const step = steps[event.key];
  const label = event.target.dataset?.seat;
  if (!step || !label) return;
  event.preventDefault();
  const rows = [...$('map').children].map(row => [...row.querySelectorAll('button')]);
  const row = rows.findIndex(buttons => buttons.some(button => button.dataset.seat === label));
  const column = rows[row].findIndex(button => button.dataset.seat === label);
  const target = rows[Math.max(0, Math.min(rows.length - 1, row + step[0]))];
  focusSeat(target[Math.max(0, Math.min(target.length - 1, column + step[1]))].dataset.seat);
}

async function begin() {
  translate();
  document.title = t.eyebrow;
  $('map').addEventListener('keydown', moveInMap);
  $('map').addEventListener('click', event => {
    const label = event.target.closest('button')?.dataset.seat;
    if (!label) return;
    focusSeat(label);
    holdSeat(label);
  });
  $('less').addEventListener('click', () => { quantity = Math.max(1, quantity - 1); paintPoster(); });
  $('more').addEventListener('click', () => { quantity = Math.min(4, quantity + 1); paintPoster(); });
  $('hold-poster').addEventListener('click', async () => {
    // A second click while the first is under way is the same wish.
    if ($('hold-poster').disabled) return;
    $('hold-poster').disabled = true;
    await hold([{ item: POSTER, quantity }]);
    $('hold-poster').disabled = false;
    $('hold-poster').focus({ preventScroll: true });
  });
  try {
    const { items } = await ask('GET', '/v1/items');
    for (const item of items) {
      if (item.id === SEATS) { $('seats-title').textContent = item.title; $('seats-strategy').textContent = `${t.strategy}: ${item.strategy}`; }
      if (item.id === POSTER) { $('poster-title').textContent = item.title; $('poster-strategy').textContent = `${t.strategy}: ${item.strategy}`; }
    }
  } catch { /* The names stay as they are; what is live says that there is no connection. */ }
  for (const id of mine.all()) refresh(id);
  // Sent before the page was reloaded, and not answered: the same request again.
  for (const [key, request] of Object.entries(pending.all())) send(key, request);
  for (const [key, request] of Object.entries(waitingLines.all())) lineUp(key, { ...request, key });
  listen(SEATS, onSeats, onConnection);
  listen(POSTER, event => { poster = event; paintPoster(); }, () => {});
  setInterval(tick, 500);
  // Another page of this browser may have changed something, while this one was hidden or not.
  const lookAgain = () => { for (const id of mine.all()) refresh(id); };
  document.addEventListener('visibilitychange', () => { if (!document.hidden) lookAgain(); });
  addEventListener('storage', event => { if (event.key === 'reservations') lookAgain(); });
}

begin();
