// Text of documents and models is inserted into the page only as text, never as markup.
const $ = id => document.getElementById(id);
const element = (name, text = '', className = '') => Object.assign(document.createElement(name), { textContent: text, className });

let running = null;

$('form').addEventListener('submit', event => {
  event.preventDefault();
  const question = $('question').value.trim();
  if (question)
    ask(question);
});
$('stop').addEventListener('click', () => running?.abort());

async function ask(question) {
  running?.abort();
  const mine = running = new AbortController();
  begin(question);
  try {
    const response = await fetch('/api/ask', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ question }), signal: mine.signal });
    if (!response.ok)
      throw new Error(await errorOf(response));
    let isDone = false;
    for await (const { name, data } of events(response.body)) {
      show[name]?.(data);
      isDone ||= name === 'done' || name === 'error';
    }
    if (!isDone)
      throw new Error('The answer broke off.');
  } catch (failure) {
    if (running === mine)
      failed(mine.signal.aborted ? 'Stopped.' : failure.message);
  } finally {
    if (running === mine)
      end();
  }
}

// The server's own error message; a proxy's page or an empty body has none, so the status is shown instead.
async function errorOf(response) {
  try {
    const { error } = JSON.parse(await response.text());
    if (typeof error === 'string' && error)
      return error;
  } catch {
    // Not JSON.
  }
  return `The server answers with status ${[response.status, response.statusText].filter(Boolean).join(' ')}.`;
}

const show = {
  found: passages => showPassages(passages, []),
  thought: piece => {
    $('thought').hidden = false;
    $('thought').querySelector('p').textContent += piece;
  },
  text: piece => { $('answer').textContent += piece; },
  error: failed,
  done: ({ text, state, cited, notes, passages }) => {
    $('answer').dataset.state = state;
    // A citation leads to its passage.
    $('answer').replaceChildren(...text.split(/(\[\d+\])/).map(part => {
      const number = Number(/^\[(\d+)\]$/.exec(part)?.[1]);
      return cited.includes(number) ? Object.assign(element('a', part), { href: `#source-${number}` }) : part;
    }));
    // The place of each cited text itself: a passage may span several pages.
    const sources = passages.flatMap(passage => passage.sources).filter(source => cited.includes(source.number)).sort((a, b) => a.number - b.number);
    $('sources').replaceChildren(...sources.map(source => element('li', `[${source.number}] ${source.place}`)));
    $('sources').hidden = sources.length === 0;
    $('notes').replaceChildren(...notes.map(note => element('li', note)));
    $('notes').hidden = notes.length === 0;
    showPassages(passages, cited);
    if (state === 'not_found')
      $('passages-title').textContent = passages.length ? 'Nearest passages' : 'No passage is near.';
  },
};

function showPassages(passages, cited) {
  $('passages-title').hidden = false;
  $('passages-title').textContent = passages.length ? 'Passages' : 'No passage was found.';
  $('passages').replaceChildren(...passages.map(passage => {
    const item = element('li', '', passage.sources.some(source => cited.includes(source.number)) ? 'cited' : '');
    const source = element('p', '', 'source');
    source.append(element('span', passage.place), element('span', passage.score.toFixed(3), 'score'));
    const text = element('p', '', 'text');
    text.append(...marked(passage, cited));
    item.append(source, text);
    if (passage.question)
      item.append(element('p', `Found by its question: ${passage.question}`, 'by-question'));
    return item;
  }));
}

// The passage's text, with a number before each part that the model was shown, and with cited parts marked.
function marked(passage, cited) {
  const parts = [];
  let end = 0;
  for (const { number, text, start } of passage.sources.filter(source => source.start !== null).sort((a, b) => a.start - b.start)) {
    // A source inside another one gets its number but no mark of its own.
    const [from, to] = [Math.max(start, end), Math.max(start + text.length, end)];
    parts.push(passage.text.slice(end, from), Object.assign(element('span', `[${number}] `, 'number'), { id: `source-${number}` }));
    const own = passage.text.slice(from, to);
    parts.push(cited.includes(number) && own ? element('mark', own) : own);
    end = to;
  }
  return [...parts, passage.text.slice(end)];
}

function begin(question) {
  $('result').hidden = false;
  $('result').setAttribute('aria-busy', 'true');
  $('asked').textContent = question;
  $('thought').hidden = true;
  $('thought').open = false;
  $('thought').querySelector('p').textContent = '';
  $('answer').replaceChildren();
  delete $('answer').dataset.state;
  $('sources').hidden = true;
  $('notes').hidden = true;
  $('passages-title').hidden = true;
  $('passages').replaceChildren();
  $('stop').hidden = false;
}

function end() {
  running = null;
  $('result').removeAttribute('aria-busy');
  $('stop').hidden = true;
}

function failed(message) {
  $('answer').dataset.state = 'failed';
  $('answer').textContent = message;
}

// Reads the server-sent events of a body: a name, and data as JSON on one line.
async function* events(body) {
  let buffer = '';
  // Uses a reader, because not every browser can iterate over streams.
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let piece; !(piece = await reader.read()).done;) {
      buffer += piece.value;
      for (let end; (end = buffer.indexOf('\n\n')) >= 0; buffer = buffer.slice(end + 2)) {
        const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(buffer.slice(0, end)) ?? [];
        if (name)
          yield { name, data: JSON.parse(data) };
      }
    }
  } finally {
    // Cancelling the body ends the answer.
    reader.cancel().catch(() => {});
  }
}

try {
  const response = await fetch('/api/status');
  if (!response.ok)
    throw new Error(await errorOf(response));
  const status = await response.json();
  const passages = status.documents.reduce((sum, document) => sum + document.passages, 0);
  $('status').textContent = `${status.documents.length} documents, ${passages} passages · ${status.model} · ${status.embeddingModel}`;
} catch (failure) {
  // Messages of fetch itself differ between browsers.
  $('status').textContent = failure instanceof TypeError ? 'The server does not answer.' : failure.message;
}
$('question').focus();
