// What an operator sees: everything at one glance, once in a second.
import { ask, Refusal } from './api.js';
import { language, t, translate } from './words.js';

const lag = {
  en: seconds => seconds > 0 ? `wait in lines, the first for ${seconds} s` : 'wait in lines',
  ko: seconds => seconds > 0 ? `대기열, 가장 오래 기다린 시간 ${seconds}초` : '대기열에서 기다리는 요청',
}[language];

const $ = id => document.getElementById(id);
let token = sessionStorage.getItem('operator') ?? '';
let timer = null;

function show(isIn) {
  $('login').hidden = isIn;
  $('board').hidden = !isIn;
}

function cell(row, text, className) {
  const element = row.insertCell();
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function paintItems(items) {
  const body = $('items');
  body.replaceChildren();
  for (const item of items) {
    const row = body.insertRow();
    const head = document.createElement('th');
    head.scope = 'row';
    head.textContent = item.title;
    row.append(head);
    cell(row, item.strategy);
    const stock = row.insertCell();
    const bar = document.createElement('div');
    bar.className = 'bar';
    bar.setAttribute('aria-hidden', 'true');
    for (const part of ['sold', 'held']) {
      const span = document.createElement('span');
      span.className = part;
      span.style.width = `${100 * item[part] / Math.max(1, item.capacity)}%`;
      bar.append(span);
    }
    const text = document.createElement('span');
    text.className = 'muted';
    text.textContent = t.stockText(item.sold, item.held, item.available);
    stock.append(bar, text);
    for (const number of [item.refused, item.retries, item.staleFences]) cell(row, number, 'number');
  }
  const select = $('rush-item');
  if (select.options.length === 0) {
    for (const item of items.filter(item => item.kind === 'counted' && item.id.startsWith('drop-'))) {
      select.append(new Option(item.title, item.id));
    }
  }
}

function paintInvariants(report) {
  const box = $('invariant');
  box.classList.toggle('good', report?.clean === true);
  box.classList.toggle('broken', report?.clean === false);
  $('invariant-text').textContent = !report ? '–' : report.clean ? t.allHold : t.broken(report.findings.length);
  if (report) $('invariant-note').textContent = t.checked(report.buckets, report.reservations);
}

function paintRush(rush) {
  const isRunning = rush.state === 'running';
  $('rush-start').disabled = isRunning;
  $('rush-line').textContent = isRunning ? t.rushRunning(rush) : rush.state === 'failed' ? t.rushFailed(rush.reason) : rush.state === 'done' ? t.rushDone : '';
  const list = $('rush-result');
  list.replaceChildren();
  if (rush.state !== 'done') return;
  for (const [key, label] of Object.entries(t.results)) {
    if (rush[key] === undefined) continue;
    const box = document.createElement('div');
    if (['oversell', 'lost', 'duplicates', 'findings'].includes(key)) box.className = rush[key] === 0 ? 'zero' : 'wrong';
    const term = document.createElement('dt');
    term.textContent = label;
    const value = document.createElement('dd');
    value.textContent = rush[key];
    box.append(term, value);
    list.append(box);
  }
}

function paintLines(lines) {
  $('waiting').textContent = lines.reduce((sum, line) => sum + line.waiting, 0);
  $('waiting-note').textContent = lag(Math.max(0, ...lines.map(line => line.oldestSeconds)));
}

async function look() {
  clearTimeout(timer);
  try {
    const view = await ask('GET', '/v1/admin/overview', { token });
    sessionStorage.setItem('operator', token);
    show(true);
    $('live').classList.add('on');
    $('live-text').textContent = `${t.live} · ${view.store}`;
    $('stale').textContent = view.staleFencesRefused;
    $('retries').textContent = view.retries;
    $('listeners').textContent = view.listeners;
    paintInvariants(view.invariants);
    paintLines(view.lines);
    paintItems(view.items);
    paintRush(view.rush);
  } catch (error) {
    $('live').classList.remove('on');
    if (error instanceof Refusal && [401, 403, 404].includes(error.problem.status)) {
      show(false);
      $('live-text').textContent = '';
      $('login-error').textContent = error.problem.status === 404 ? t.noAdmin : token ? t.wrongToken : '';
      $('token').focus();
      return;
    }
    $('live-text').textContent = t.lost;
  }
  timer = setTimeout(look, 1000);
}

translate();
document.title = `${t.operatorTitle} · ${t.eyebrow}`;
if (location.hash.length > 1) {
  token = decodeURIComponent(location.hash.slice(1));
  // A token does not belong into the address or the history.
  history.replaceState(null, '', location.pathname);
}
$('login').addEventListener('submit', event => {
  event.preventDefault();
  token = $('token').value.trim();
  look();
});
$('rush').addEventListener('submit', async event => {
  event.preventDefault();
  $('rush-error').textContent = '';
  const number = id => Number($(id).value);
  try {
    const body = { item: $('rush-item').value, units: number('rush-units'), buyers: number('rush-buyers'), seconds: number('rush-seconds') };
    paintRush(await ask('POST', '/v1/admin/rush', { token, body }));
  } catch (error) {
    $('rush-error').textContent = error.message;
  }
});
if (token) look(); else { show(false); look(); }
