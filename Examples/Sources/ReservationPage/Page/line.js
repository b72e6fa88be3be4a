// A place in the line: how many are ahead, how long it may take, and until when the page may be closed.
import { ask, listenToLine, Refusal, waitingLines } from './api.js';
import { language, t } from './words.js';

const box = document.getElementById('line');
/** Requests of this browser that wait: key -> what was asked, where it stands, and the element that shows it. */
const places = new Map();

/**
 * Shows where a request stands until it is decided.
 *
 * `told` hears what became of it: `held(reservation)`, `refused(refusal)` or `left()`; or `unreachable()`, and it goes on.
 */
export function wait(request, name, told) {
  const { key } = request;
  if (places.has(key)) return;
  waitingLines.add(key, { lines: request.lines });
  const place = { key, request, told, first: null, element: element(name) };
  places.set(key, place);
  place.leave = place.element.querySelector('button');
  place.leave.addEventListener('click', () => leave(place));
  box.querySelector('ul').append(place.element);
  box.hidden = false;
  place.close = listenToLine(key, {
    onStanding: standing => show(place, standing),
    onDecision: decision => decide(place, decision),
    onConnection: isOn => { place.isConnected = isOn; tick(); },
    onTrouble: () => look(place),
  });
}

/** What came while nobody looked, or where it stands: for a line that cannot be listened to. */
async function look(place) {
  try {
    const answer = await ask('GET', `/v1/requests/${encodeURIComponent(place.key)}`);
    if (!places.has(place.key)) return;
    if (answer.state === 'waiting') show(place, answer);
    else if (answer.state === 'refused') decide(place, answer);
    else decide(place, { state: 'held', reservation: answer });
  } catch (error) {
    if (error instanceof Refusal && error.problem.status === 404) decide(place, { state: 'refused', problem: error.problem });
    // Anything else may pass: who listens tries again by himself.
  }
}

function decide(place, decision) {
  if (!remove(place)) return;
  if (decision.state === 'held') place.told.held(decision.reservation);
  // Nobody but its caller takes a request back: here, where the answer may come later than the event, or in another page.
  else if (decision.problem.code === 'withdrawn') place.told.left();
  else place.told.refused(new Refusal(decision.problem, decision.problem.retryAfterSeconds ?? null));
}

async function leave(place) {
  place.leave.disabled = true;
  try {
    const answer = await ask('DELETE', `/v1/requests/${encodeURIComponent(place.key)}`);
    // Too late to leave: then it is a reservation, which can be released.
    if (answer.state !== 'withdrawn') decide(place, { state: 'held', reservation: answer });
    else if (remove(place)) place.told.left();
  } catch (error) {
    place.leave.disabled = false;
    if (error instanceof Refusal) return look(place);
    place.told.unreachable();
  }
}

function remove(place) {
  if (!places.delete(place.key)) return false;
  place.close();
  waitingLines.remove(place.key);
  place.element.remove();
  box.hidden = places.size === 0;
  return true;
}

// Painting.

function element(name) {
  const item = document.createElement('li');
  item.className = 'place';
  const title = document.createElement('strong');
  title.textContent = name;
  const number = document.createElement('p');
  number.className = 'big position';
  number.setAttribute('role', 'status');
  number.textContent = t.lining;
  const progress = document.createElement('progress');
  progress.setAttribute('aria-label', t.lineProgress);
  const texts = ['estimate', 'kept', 'age'].map(kind => {
    const text = document.createElement('p');
    text.className = `muted ${kind}`;
    return text;
  });
  const row = document.createElement('div');
  row.className = 'row';
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = t.leaveLine;
  button.setAttribute('aria-label', `${t.leaveLine}: ${name}`);
  row.append(button);
  item.append(title, number, progress, ...texts, row);
  return item;
}

function show(place, standing) {
  place.updatedAt = Date.now();
  place.first = Math.max(place.first ?? 1, standing.position);
  const ahead = standing.position - 1;
  const find = kind => place.element.querySelector(kind);
  find('.position').textContent = ahead === 0 ? t.youAreNext : t.ahead(ahead);
  const progress = find('progress');
  progress.max = place.first;
  progress.value = place.first - ahead;
  const estimate = standing.estimateSeconds;
  find('.estimate').textContent = !estimate ? t.noEstimate
    : estimate.late < 60 ? t.underAMinute : t.minutes(Math.max(1, Math.round(estimate.likely / 60)), Math.ceil(estimate.late / 60));
  // By this machine's clock, which may be another than the service's.
  const left = new Date(standing.keptUntil) - new Date(standing.serverTime);
  const until = new Date(Date.now() + left);
  find('.kept').textContent = t.mayClose(until.toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit', hour12: false }));
  tick();
}

function tick() {
  for (const place of places.values()) {
    const age = place.updatedAt ? Math.round((Date.now() - place.updatedAt) / 1000) : null;
    place.element.querySelector('.age').textContent = age === null ? '' : place.isConnected === false ? t.lineLost(age) : t.updated(age);
  }
}

setInterval(tick, 1000);
