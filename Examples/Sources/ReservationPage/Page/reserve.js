// Reserving: a wish is one request, however often it is sent, until somebody says what became of it.
import { ask, pending, Refusal } from './api.js';
import { settle } from './holds.js';
import { wait } from './line.js';
import { focusSeat, isFree, returnToMap, SEATS, setBusy } from './map.js';
import { paintPoster, POSTER } from './poster.js';
import { announce, name, notice, unsay } from './say.js';
import { clock, t } from './words.js';

export function hold(lines) {
  const key = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), n => n.toString(16)).join('-');
  const request = { lines, key };
  pending.add(key, request);
  return send(request);
}

export function holdSeat(label) {
  if (isFree(label)) hold([{ item: SEATS, seat: label }]);
}

export async function send(request, attempt = 1) {
  const seats = request.lines.map(line => line.seat).filter(Boolean);
  setBusy(seats, true);
  let isKnown = true;
  try {
    answered(request, await ask('POST', '/v1/reservations', { body: { lines: request.lines }, key: request.key }));
  } catch (error) {
    if (error instanceof Refusal && error.problem.status !== 500) {
      await refused(error, request, attempt);
    } else {
      isKnown = false;
      sendLater(request, attempt);
    }
  } finally {
    if (isKnown) setBusy(seats, false);
    paintPoster();
  }
}

function answered(request, reservation) {
  const isWaiting = reservation.state === 'waiting';
  // Kept as one that waits before it is forgotten as one that was sent.
  if (isWaiting) lineUp(request);
  pending.remove(request.key);
  unsay(request.key);
  if (isWaiting) return announce(t.inLine(name(request.lines)));
  settle(reservation);
  announceHold(reservation);
}

function announceHold(reservation) {
  if (reservation.state === 'held') announce(t.heldFor(name(reservation.lines), clock(reservation.expiresInSeconds)));
}

async function refused(refusal, request, attempt) {
  const { status, code } = refusal.problem;
  const isTransient = [429, 503].includes(status) || code === 'idempotency-in-progress';
  if (isTransient && attempt <= 3) {
    await new Promise(done => setTimeout(done, Math.min(refusal.retryAfter ?? 1, 5) * 1000));
    return send(request, attempt + 1);
  }
  // A refusal had no effect. What may be tried again keeps its number for that.
  if (!isTransient) pending.remove(request.key);
  explain(refusal, request);
}

/** No answer: nobody knows. The same request is sent again until somebody says what became of it. */
function sendLater(request, attempt) {
  const again = () => send(request, attempt + 1);
  const timer = setTimeout(again, Math.min(2 ** attempt, 15) * 1000);
  notice(t.offline(name(request.lines)), {
    id: request.key, label: t.tryNow, action: () => { clearTimeout(timer); again(); },
  });
}

/** Until it is decided. */
export function lineUp(request) {
  const label = name(request.lines);
  wait(request, label, {
    held(reservation) {
      settle(reservation);
      announceHold(reservation);
    },
    refused: refusal => explain(refusal, request),
    left: () => notice(t.leftLine(label), { calm: true, label: t.lineUpAgain, action: () => hold(request.lines) }),
    unreachable: () => notice(t.lost, { calm: true }),
  });
}

// Failing.

/** What went wrong, in the service's words, and the one thing that helps. */
function explain(refusal, request) {
  const problem = refusal.problem;
  const next = (label, action) => notice(refusal.message, { label, action });
  switch (problem.code) {
    case 'seat-unavailable': return otherSeat(problem, next);
    case 'out-of-stock': return otherStock(problem, request, next);
    case 'turn-missed':
    case 'withdrawn':
      return next(t.lineUpAgain, () => hold(request.lines));
    case 'queue-limit': return next(t.toLine, () => document.getElementById('line').scrollIntoView({ block: 'nearest' }));
    case 'hold-limit': return next(t.toHolds, () => document.getElementById('holds-title').focus());
    case 'unauthenticated': return next(t.reload, () => location.reload());
    default:
      return problem.retryable
        ? notice(refusal.message, { label: t.again, action: () => send(request), onClose: () => pending.remove(request.key) })
        : next(t.lookAgain, () => location.reload());
  }
}

function otherSeat(problem, next) {
  const seat = problem.alternatives?.[0]?.seat;
  if (seat) return next(t.instead(seat), () => { focusSeat(seat); holdSeat(seat); });
  return next(t.chooseAnother, returnToMap);
}

function otherStock(problem, request, next) {
  if (problem.available > 0) return next(t.takeLeft(problem.available), () => hold([{ item: POSTER, quantity: problem.available }]));
  if (problem.retryable && problem.nextReleaseInSeconds !== undefined) {
    return next(t.waitFor(clock(problem.nextReleaseInSeconds)), () => waitFor(request, problem.nextReleaseInSeconds));
  }
  return next(t.chooseAnother, returnToMap);
}

let waiting = null;

/** Waits for the first hold of somebody else to end, and then asks anew. */
function waitFor(request, seconds) {
  clearTimeout(waiting);
  waiting = setTimeout(() => hold(request.lines), (seconds + 1) * 1000);
  notice(t.waiting(name(request.lines), clock(seconds)), { calm: true, label: t.stop, action: () => clearTimeout(waiting) });
}
