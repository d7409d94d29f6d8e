// Small helpers of the page. Text from outside is only ever set as text, never as markup.

/** An element with classes and text. */
export function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  if (className)
    element.className = className;
  if (text)
    element.textContent = text;
  return element;
}

export const byId = id => document.getElementById(id);

/** A button with an action. */
export function button(text, act, className = '') {
  const element = make('button', className, text);
  element.type = 'button';
  element.addEventListener('click', act);
  return element;
}

/** Copies a text; returns whether that worked. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers offer no clipboard API to pages loaded over plain HTTP from another machine, but they still support execCommand.
    const area = make('textarea', 'hidden');
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }
}
