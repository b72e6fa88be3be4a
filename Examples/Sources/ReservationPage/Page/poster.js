// The counted item: how many are left, and how many of them somebody wants.
import { heldHere } from './holds.js';
import { t } from './words.js';

export const POSTER = 'poster';
const MOST = 4;
const $ = id => document.getElementById(id);
/** What the service said last: { capacity, held, sold, available }. */
let stock = null;
let quantity = 1;

export function onStock(event) { stock = event; paintPoster(); }

export function paintPoster() {
  if (!stock) return;
  $('poster-left').textContent = stock.available;
  $('poster-of').textContent = t.of(stock.capacity);
  const [sold, held] = $('poster-bar').children;
  sold.style.width = `${100 * stock.sold / Math.max(1, stock.capacity)}%`;
  held.style.width = `${100 * stock.held / Math.max(1, stock.capacity)}%`;
  $('poster-bar').setAttribute('aria-label', t.stockText(stock.sold, stock.held, stock.available));
  const own = heldHere().filter(hold => hold.state === 'held').flatMap(hold => hold.lines)
    .filter(line => line.item === POSTER).reduce((sum, line) => sum + line.quantity, 0);
  const others = Math.max(0, stock.held - own);
  $('poster-note').textContent = others > 0 ? t.heldNow(others) : stock.available + own === 0 ? t.allSold : t.plenty;
  $('quantity').textContent = quantity;
  $('less').disabled = quantity <= 1;
  $('more').disabled = quantity >= MOST;
}

/** `onChoice(quantity)` hears how many somebody wants. It ends when there was an answer. */
export function beginPoster(onChoice) {
  $('less').addEventListener('click', () => { quantity = Math.max(1, quantity - 1); paintPoster(); });
  $('more').addEventListener('click', () => { quantity = Math.min(MOST, quantity + 1); paintPoster(); });
  $('hold-poster').addEventListener('click', async () => {
    // A second click while the first is under way is the same wish.
    if ($('hold-poster').disabled) return;
    $('hold-poster').disabled = true;
    await onChoice(quantity);
    $('hold-poster').disabled = false;
    $('hold-poster').focus({ preventScroll: true });
  });
}
