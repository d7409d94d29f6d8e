// Shows growing text with its code blocks. Only new text is added: that keeps long responses cheap and preserves a selection.
import { make } from './dom.js';

/** Shows `text` in `container`; nothing else may fill the container. */
export function show(container, text) {
  const parts = split(text);
  parts.forEach((part, index) => {
    let child = container.children[index];
    if (child && child.dataset.kind !== part.kind) {
      while (container.children[index])
        container.lastElementChild.remove();
      child = null;
    }
    child ??= container.appendChild(open(part.kind));
    grow(child.firstElementChild ?? child, part.text);
  });
  while (container.children.length > parts.length)
    container.lastElementChild.remove();
}

function open(kind) {
  const child = make(kind === 'code' ? 'pre' : 'p');
  child.dataset.kind = kind;
  if (kind === 'code') {
    child.append(make('code'));
    // A wide block scrolls; the keyboard must reach it.
    child.tabIndex = 0;
  }
  return child;
}

function grow(element, text) {
  const shown = element.firstChild;
  if (!shown)
    element.append(text);
  else if (text.startsWith(shown.data))
    shown.appendData(text.slice(shown.length));
  else
    shown.data = text;
}

/** Splits text into prose and code at fences (three backticks at the start of a line). */
export function split(text) {
  const parts = [];
  let kind = 'text';
  let lines = [];
  const close = () => {
    const body = lines.join('\n');
    if (kind === 'code' || body.trim())
      parts.push({ kind, text: kind === 'code' ? body : body.replace(/^\s*\n/, '').trimEnd() });
    lines = [];
  };
  for (const line of text.split('\n')) {
    if (kind === 'text' ? /^\s*```[^`]*$/.test(line) : /^\s*```\s*$/.test(line)) {
      close();
      kind = kind === 'text' ? 'code' : 'text';
    } else {
      lines.push(line);
    }
  }
  close();
  return parts;
}
