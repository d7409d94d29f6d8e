// The settings: converts the fields to members of a request, or marks the invalid field.
import { byId, make } from './dom.js';

const storage = 'localllm.settings';
const numbers = { temperature: false, top_p: false, top_k: true, max_tokens: true, seed: true };
const example = [{
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Gets the weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}];
const form = byId('settings');
const fields = form.elements;

class FieldError extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** The request without its messages, or null if a field is invalid; that field is marked, and focused on demand. */
export function read({ focus = false } = {}) {
  clearFaults();
  try {
    return compose();
  } catch (failure) {
    if (!(failure instanceof FieldError))
      throw failure;
    mark(failure.field, failure.message);
    if (focus) {
      form.dispatchEvent(new CustomEvent('reveal', { bubbles: true }));
      fields[failure.field].focus();
    }
    return null;
  }
}

/** The system prompt as a list of at most one message. */
export const system = () => fields.system.value.trim() ? [{ role: 'system', content: fields.system.value }] : [];

function compose() {
  const body = { model: fields.model.value || undefined };
  for (const [name, isInteger] of Object.entries(numbers)) {
    const text = fields[name].value.trim().replace(',', '.');
    if (!text)
      continue;
    const value = Number(text);
    if (!Number.isFinite(value) || (isInteger && !Number.isSafeInteger(value)))
      throw new FieldError(name, isInteger ? 'This must be a whole number.' : 'This must be a number.');
    body[name] = value;
  }
  const stops = fields.stop.value.split('\n').filter(line => line).map(line => line.replaceAll('\\n', '\n').replaceAll('\\t', '\t'));
  if (stops.length)
    body.stop = stops;
  if (fields.tools.value.trim()) {
    body.tools = checkTools(json('tools'));
    if (fields.tool_choice.value)
      body.tool_choice = fields.tool_choice.value;
  }
  body.stream = fields.stream.checked;
  if (body.stream)
    body.stream_options = { include_usage: true, continuous_usage_stats: true };
  if (fields.more.value.trim()) {
    const more = json('more');
    if (more === null || typeof more !== 'object' || Array.isArray(more))
      throw new FieldError('more', 'This must be a JSON object, such as {"min_p": 0.05}.');
    Object.assign(body, more);
    if (!body.stream)
      delete body.stream_options;
  }
  return body;
}

function json(name) {
  try {
    return JSON.parse(fields[name].value);
  } catch (failure) {
    throw new FieldError(name, `This is not JSON: ${failure.message}`);
  }
}

function checkTools(tools) {
  if (!Array.isArray(tools))
    throw new FieldError('tools', 'Tools are a JSON list: [{"type": "function", "function": {"name": …}}].');
  tools.forEach((tool, index) => {
    if (tool?.type !== 'function' || typeof tool.function?.name !== 'string')
      throw new FieldError('tools', `Entry ${index + 1} is no tool: it needs "type": "function" and a "function" with a "name".`);
  });
  return tools;
}

function mark(name, message) {
  const fault = make('p', 'fault', message);
  fault.id = `${name}-fault`;
  fault.setAttribute('role', 'alert');
  fields[name].setAttribute('aria-invalid', 'true');
  fields[name].setAttribute('aria-describedby', fault.id);
  fields[name].closest('.field').append(fault);
}

function clearFaults() {
  form.querySelectorAll('.fault').forEach(fault => fault.remove());
  form.querySelectorAll('[aria-invalid]').forEach(field => {
    field.removeAttribute('aria-invalid');
    field.removeAttribute('aria-describedby');
  });
}

// A reload keeps the settings, unless the browser forbids storage.
function store() {
  const kept = {};
  for (const field of form.querySelectorAll('[name]:not([name="model"])'))
    kept[field.name] = field.type === 'checkbox' ? field.checked : field.value;
  try {
    localStorage.setItem(storage, JSON.stringify(kept));
  } catch { /* see above */ }
}

function restore() {
  try {
    for (const [name, value] of Object.entries(JSON.parse(localStorage.getItem(storage) ?? '{}')))
      fields[name][typeof value === 'boolean' ? 'checked' : 'value'] = value;
  } catch { /* see above */ }
}

form.addEventListener('submit', event => event.preventDefault());
form.addEventListener('input', store);
form.addEventListener('change', () => read());
byId('tools-example').addEventListener('click', () => {
  fields.tools.value = JSON.stringify(example, null, 2);
  fields.tools.rows = 12;
  store();
  read();
});
byId('reset-settings').addEventListener('click', () => {
  const model = fields.model.value;
  form.reset();
  fields.model.value = model;
  store();
  clearFaults();
});
restore();
