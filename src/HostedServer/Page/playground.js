// The chat: the conversation so far, one response at a time, and what the keys and buttons do.
import { ApiError, chat, get } from './api.js';
import { Answer } from './answer.js';
import { button, byId, copy, make } from './dom.js';
import { show } from './text.js';
import * as settings from './settings.js';

const log = byId('log');
const prompt = byId('prompt');
let history = [];
let answer = null; // the last one
let running = null; // the AbortController of the response in progress
let asked = null; // the user's last turn on the page

async function run(request) {
  const mine = running = new AbortController();
  const shown = answer = new Answer(log);
  log.querySelectorAll('.retry').forEach(old => old.remove());
  showButtons();
  follow(true);
  try {
    for await (const piece of chat({ ...request, messages: [...settings.system(), ...history] }, mine.signal))
      shown.add(piece);
    finish(null);
  } catch (failure) {
    // The user has cleared the chat: show nothing more of it.
    if (mine.signal.reason === 'cleared')
      return;
    finish(mine.signal.aborted ? 'stopped' : 'not complete');
    if (mine.signal.aborted)
      shown.isEmpty && shown.fail('Stopped before the first token.', retryOf(shown));
    else
      shown.fail(failure instanceof ApiError ? failure.message : `The page failed: ${failure.message}`, retryOf(shown));
    if (failure.status === 404)
      loadModels();
  } finally {
    if (running === mine)
      running = null;
    showButtons();
    follow();
  }

  function finish(cut) {
    shown.end(sendResults, cut);
    if (!shown.isEmpty)
      history.push(shown.message);
  }
}

// A new try replaces a failed response.
const retryOf = failed => () => {
  const request = running ? null : settings.read({ focus: true });
  if (!request)
    return;
  if (history.at(-1) === failed.message)
    history.pop();
  failed.remove();
  run(request);
};

function send() {
  const text = prompt.value;
  if (running || !text.trim())
    return;
  const request = settings.read({ focus: true });
  if (!request)
    return;
  history.push(...(answer?.takeResults() ?? []));
  // Many templates refuse two user turns in a row.
  if (history.at(-1)?.role === 'user') {
    history.pop();
    asked.classList.add('unsent');
  }
  history.push({ role: 'user', content: text });
  addUser(text);
  prompt.value = '';
  fit();
  run(request);
}

function sendResults() {
  const request = running ? null : settings.read({ focus: true });
  if (!request)
    return;
  history.push(...answer.takeResults());
  prompt.focus();
  run(request);
}

function addUser(text) {
  byId('empty').hidden = true;
  const article = make('article', 'user');
  const body = make('div', 'text');
  show(body, text);
  article.append(make('h3', '', 'You'), body);
  log.append(article);
  asked = article;
}

function stop() {
  running?.abort('stopped');
}

function clear() {
  running?.abort('cleared');
  history = [];
  answer = asked = null;
  log.querySelectorAll('article').forEach(article => article.remove());
  byId('empty').hidden = false;
  prompt.focus();
}

function showButtons() {
  const hadFocus = document.activeElement === byId('halt') || document.activeElement === byId('send');
  byId('send').hidden = !!running;
  byId('halt').hidden = !running;
  if (hadFocus)
    (running ? byId('halt') : prompt).focus();
}

// Scrolls along unless the reader has scrolled up.
let atEnd = true;
log.addEventListener('scroll', () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60; });
function follow(always = false) {
  if (always || atEnd)
    log.scrollTop = log.scrollHeight;
}

function fit() {
  prompt.style.height = 'auto';
  prompt.style.height = `${prompt.scrollHeight + 2}px`;
}

function say(text) {
  byId('said').textContent = text;
  setTimeout(() => { byId('said').textContent = ''; }, 3000);
}

async function loadModels() {
  const select = byId('model');
  try {
    const { data } = await (await get('v1/models')).json();
    const chosen = select.value;
    select.replaceChildren(...data.map(model => new Option(model.id, model.id)));
    if (data.some(model => model.id === chosen))
      select.value = chosen;
    byId('model-note').textContent = data[0]?.max_model_len ? `up to ${data[0].max_model_len} tokens, prompt and answer together` : '';
  } catch (failure) {
    byId('model-note').textContent = failure.message;
    setTimeout(loadModels, 2000);
  }
}

async function copyCurl() {
  const request = settings.read({ focus: true });
  if (!request)
    return;
  const messages = [...settings.system(), ...history];
  if (prompt.value.trim() || !messages.some(message => message.role === 'user'))
    messages.push({ role: 'user', content: prompt.value.trim() ? prompt.value : 'Hello' });
  delete request.stream_options;
  const body = JSON.stringify({ ...request, messages }, null, 2).replaceAll("'", "'\\''");
  const flag = request.stream ? '-N ' : '';
  say(await copy(`curl ${flag}'${new URL('v1/chat/completions', document.baseURI)}' -H 'Content-Type: application/json' -d '${body}'`) ? 'Copied.' : 'The browser forbids copying.');
}

function choose(view) {
  document.body.dataset.view = view;
  for (const tab of document.querySelectorAll('nav [data-show]'))
    tab.setAttribute('aria-pressed', String(tab.dataset.show === view));
}

log.addEventListener('grown', () => follow());
prompt.addEventListener('input', fit);
prompt.addEventListener('keydown', event => {
  // While an input method (IME) composes, Enter selects a word.
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && !event.isComposing)
    stop();
});
byId('composer').addEventListener('submit', event => {
  event.preventDefault();
  send();
});
byId('halt').addEventListener('click', stop);
byId('clear').addEventListener('click', clear);
byId('curl').addEventListener('click', copyCurl);
byId('settings').addEventListener('reveal', () => choose('settings'));
// If the chat is always visible, the buttons choose what is shown beside it.
const isBeside = matchMedia('(min-width: 48rem)');
const adapt = () => choose(isBeside.matches ? 'engine' : 'chat');
isBeside.addEventListener('change', adapt);
adapt();
document.querySelectorAll('nav [data-show]').forEach(tab => tab.addEventListener('click', () => choose(tab.dataset.show)));
loadModels();
prompt.focus();
