// One response on the page: its reasoning, its text, its calls with fields for their results, and a line of figures.
import { button, copy, make } from './dom.js';
import { show } from './text.js';

const leastSpan = 50; // milliseconds

export class Answer {
  #article = make('article', 'assistant');
  #body = make('div', 'body');
  #figures = make('span', 'note figures-line');
  #foot = make('div', 'foot');
  #thought = null;
  #cards = [];
  #text = null;
  #frame = 0;
  #results = [];
  #finish = null;
  #started = performance.now();
  #first = 0;
  #last = 0;
  #tokensAtFirst = 1;
  message = { role: 'assistant', content: '' };
  usage = null;
  finishReason = null;

  constructor(log) {
    this.#article.setAttribute('aria-busy', 'true');
    this.#foot.append(this.#figures);
    this.#article.append(make('h3', '', 'Assistant'), this.#body, this.#foot);
    log.append(this.#article);
  }

  /** Whether there is nothing to show or to continue from. */
  get isEmpty() {
    return !this.message.content && !this.message.reasoning && !this.message.tool_calls && !this.finishReason;
  }

  /** Adds a piece of the response. */
  add(piece) {
    this.usage = piece.usage ?? this.usage;
    // Of several choices, the page shows the first.
    const choice = piece.choices.find(choice => choice.index === 0);
    if (!choice)
      return;
    const { content, tool_calls: calls, ...delta } = choice.delta;
    const reasoning = delta.reasoning ?? delta.reasoning_content;
    this.finishReason = choice.finish_reason ?? this.finishReason;
    if (!content && !reasoning && !calls)
      return;
    this.#last = performance.now();
    if (!this.#first) {
      this.#first = this.#last;
      this.#tokensAtFirst = piece.usage?.completion_tokens ?? 1;
    }
    if (reasoning)
      this.message.reasoning = (this.message.reasoning ?? '') + reasoning;
    if (content)
      this.message.content += content;
    calls?.forEach((call, position) => this.#addCall(call, call.index ?? position));
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** Ends the response. Calls get fields for results unless it was `cut` off; sending the results calls `onResults`. */
  end(onResults, cut) {
    cancelAnimationFrame(this.#frame);
    this.#finish = this.finishReason ?? cut;
    this.#draw();
    this.#fold();
    this.#article.removeAttribute('aria-busy');
    if (!this.finishReason)
      delete this.message.tool_calls;
    if (this.message.tool_calls)
      this.#askResults(onResults);
    if (this.message.content)
      this.#foot.append(this.#copyButton());
  }

  /** Shows why the response is missing or incomplete. */
  fail(message, retry) {
    const failure = make('div', 'failure', message);
    failure.setAttribute('role', 'alert');
    this.#article.append(failure);
    if (retry)
      this.#article.append(button('Try again', retry, 'retry'));
  }

  /** Closes the result fields and returns their contents as messages. */
  takeResults() {
    return this.#results.splice(0).map(({ call, field, send }) => {
      field.readOnly = true;
      send?.remove();
      return { role: 'tool', tool_call_id: call.id, content: field.value };
    });
  }

  remove() {
    this.#article.remove();
  }

  #addCall(call, index) {
    const calls = this.message.tool_calls ??= [];
    const known = calls[index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } };
    known.id = call.id || known.id;
    known.function.name += call.function?.name ?? '';
    known.function.arguments += call.function?.arguments ?? '';
  }

  #draw() {
    this.#frame = 0;
    const { reasoning, content, tool_calls: calls } = this.message;
    if (reasoning) {
      this.#thought ??= this.#openThought();
      show(this.#thought.lastElementChild, reasoning);
    }
    if (content.trim()) {
      this.#fold();
      this.#text ??= this.#body.appendChild(make('div', 'text'));
      show(this.#text, content);
    }
    if (calls) {
      this.#fold();
      this.#drawCalls(calls);
    }
    this.#drawFigures();
    this.#article.dispatchEvent(new CustomEvent('grown', { bubbles: true }));
  }

  #openThought() {
    const thought = make('details', 'thought');
    thought.open = true;
    const summary = make('summary', '', 'Thinking…');
    // Once the user folds or opens it, the page leaves it so.
    summary.addEventListener('click', () => { thought.dataset.chosen = 'true'; });
    thought.append(summary, make('div', 'text'));
    this.#body.append(thought);
    return thought;
  }

  #fold() {
    if (!this.#thought || this.#thought.dataset.done)
      return;
    this.#thought.dataset.done = 'true';
    const seconds = (performance.now() - this.#first) / 1000;
    this.#thought.firstElementChild.textContent = seconds < .1 ? 'Thought briefly' : `Thought for ${seconds.toFixed(1)} s`;
    if (!this.#thought.dataset.chosen)
      this.#thought.open = false;
  }

  #drawCalls(calls) {
    calls.forEach((call, index) => {
      const card = this.#cards[index] ??= this.#body.appendChild(make('div', 'call'));
      if (!card.firstChild)
        card.append(make('strong'), make('pre', 'code'));
      card.children[0].textContent = `Calls ${call.function.name}`;
      card.children[1].textContent = pretty(call.function.arguments);
    });
  }

  #askResults(onResults) {
    this.#results = this.message.tool_calls.map((call, index) => {
      const field = make('textarea', 'code');
      field.id = `result-${call.id}`;
      field.rows = 2;
      field.placeholder = 'what the tool answers';
      const label = make('label', '', `Result of ${call.function.name}`);
      label.htmlFor = field.id;
      this.#cards[index].append(label, field);
      return { call, field };
    });
    const last = this.#results.at(-1);
    last.send = button(this.#results.length > 1 ? 'Send results' : 'Send result', onResults, 'main');
    this.#cards.at(-1).append(last.send);
  }

  #drawFigures() {
    const parts = [];
    const tokens = this.usage?.completion_tokens;
    if (tokens && this.#first) {
      const span = this.#last - this.#first;
      parts.push(`${tokens} ${tokens === 1 ? 'token' : 'tokens'}`);
      // The time before the first token is the prompt's. Tokens that came all at once have no time between them.
      const speed = span > leastSpan ? (tokens - this.#tokensAtFirst) / span : tokens / (this.#last - this.#started);
      parts.push(`${(speed * 1000).toFixed(1)} tokens/s`);
      if (span > 0)
        parts.push(`first after ${((this.#first - this.#started) / 1000).toFixed(2)} s`);
      const cached = this.usage.prompt_tokens_details?.cached_tokens;
      parts.push(`prompt ${this.usage.prompt_tokens}${cached ? ` (${cached} cached)` : ''}`);
    }
    if (this.#finish && !this.isEmpty)
      parts.push(`finish: ${this.#finish}`);
    this.#figures.textContent = parts.join(' · ');
  }

  #copyButton() {
    const copied = button('copy', async () => {
      copied.textContent = await copy(this.message.content) ? 'copied' : 'the browser forbids it';
      setTimeout(() => { copied.textContent = 'copy'; }, 1500);
    }, 'link');
    return copied;
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
