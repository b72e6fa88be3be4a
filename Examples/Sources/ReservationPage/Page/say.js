// What the page says: to the eye in messages, to the ear through the announcer.
import { returnToMap } from './map.js';
import { t } from './words.js';

const notices = document.getElementById('notices');
const find = id => notices.querySelector(`[data-id="${CSS.escape(id)}"]`);

export function announce(text) { document.getElementById('announcer').textContent = text; }

/** What was asked for, as a person would say it. */
export function name(lines) {
  const poster = document.getElementById('poster-title').textContent;
  return lines.map(line => line.seat ? t.seat(line.seat) : `${poster} × ${line.quantity}`).join(', ');
}

/** Takes a message back, if it is still there. */
export function unsay(id) { find(id)?.remove(); }

/** A message with at most one thing to do next. One with the `id` of an earlier one takes its place. */
export function notice(text, { action, label, calm = false, id, onClose } = {}) {
  const box = document.createElement('div');
  box.className = calm ? 'notice calm' : 'notice';
  if (id) { unsay(id); box.dataset.id = id; }
  box.setAttribute('role', calm ? 'status' : 'alert');
  const words = document.createElement('p');
  words.textContent = text;
  const buttons = document.createElement('div');
  buttons.className = 'buttons';
  const button = (label, act) => {
    const element = document.createElement('button');
    element.type = 'button';
    element.textContent = label;
    element.addEventListener('click', () => {
      // Whoever closed it with the keyboard must not be thrown back to the top.
      const hadFocus = box.contains(document.activeElement);
      box.remove();
      if (hadFocus) returnToMap();
      act?.();
    });
    buttons.append(element);
  };
  if (label) button(label, action);
  button(t.dismiss, onClose);
  box.append(words, buttons);
  notices.prepend(box);
  while (notices.children.length > 3) notices.lastChild.remove();
}
