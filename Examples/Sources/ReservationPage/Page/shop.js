// The page of whoever wants a seat or a poster.
import { ask, listen, pending, waitingLines } from './api.js';
import { lookAgain, tick } from './holds.js';
import { beginMap, onSeats, SEATS } from './map.js';
import { beginPoster, onStock, POSTER } from './poster.js';
import { hold, holdSeat, lineUp, send } from './reserve.js';
import { t, translate } from './words.js';

const $ = id => document.getElementById(id);
let updatedAt = 0;
let isConnected = false;

function paintLive() {
  $('live').classList.toggle('on', isConnected);
  $('live-text').textContent = !updatedAt ? t.connecting : isConnected ? t.live : t.lost;
}

function onConnection(isOn) {
  if (isOn && !isConnected) lookAgain();
  isConnected = isOn;
  paintLive();
}

/** What the items are called, and by which strategy they are reserved. */
async function nameItems() {
  try {
    const { items } = await ask('GET', '/v1/items');
    for (const [id, part] of [[SEATS, 'seats'], [POSTER, 'poster']]) {
      const item = items.find(item => item.id === id);
      if (!item) continue;
      $(`${part}-title`).textContent = item.title;
      $(`${part}-strategy`).textContent = `${t.strategy}: ${item.strategy}`;
    }
  } catch { /* The names stay as they are; what is live says that there is no connection. */ }
}

/** What this browser asked for or waits for, from before the page was loaded. */
function goOn() {
  lookAgain();
  // Sent before the page was reloaded, and not answered: the same request again.
  for (const [key, request] of Object.entries(pending.all())) send({ ...request, key });
  for (const [key, request] of Object.entries(waitingLines.all())) lineUp({ ...request, key });
}

async function begin() {
  translate();
  document.title = t.eyebrow;
  beginMap(holdSeat);
  beginPoster(quantity => hold([{ item: POSTER, quantity }]));
  await nameItems();
  goOn();
  listen(SEATS, (event, isWhole) => { updatedAt = Date.now(); onSeats(event, isWhole); paintLive(); }, onConnection);
  listen(POSTER, onStock, () => {});
  setInterval(tick, 500);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) lookAgain(); });
  addEventListener('storage', event => { if (event.key === 'reservations') lookAgain(); });
}

begin();
