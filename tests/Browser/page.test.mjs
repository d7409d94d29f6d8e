// Drives the page in a real Chromium against the real server: node page.test.mjs [folder for the screenshots]
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serve } from './server.mjs';

const shots = process.argv[2] ?? 'screenshots';
const story = 'Tell me a story.';
const endless = '{"ignore_eos": true}';
const tools = [{
  type: 'function',
  function: { name: 'get_secret', description: 'Gets the secret.', parameters: { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'integer' } }, required: ['a', 'b'] } },
}];

mkdirSync(shots, { recursive: true });
// So few blocks that each has its own cell in the map.
const server = await serve('--num-gpu-blocks-override', '512');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// What the page must not do in any step: send requests elsewhere, or log errors and warnings.
const foreign = [];
const complaints = [];
function watch(page, url) {
  page.on('request', request => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:'))
      foreign.push(request.url());
  });
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('console', message => {
    // The browser itself logs every response with an error status; some steps provoke one.
    if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
}

async function open(url, { width = 1600, height = 1000, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  const page = await context.newPage();
  watch(page, new URL(url).origin);
  await page.goto(url);
  await page.locator('#model option').first().waitFor({ state: 'attached' });
  return page;
}

const ask = async (page, text) => {
  await page.fill('#prompt', text);
  await page.press('#prompt', 'Enter');
};
const lastAnswer = page => page.locator('article.assistant').last();
const whole = page => page.locator('article.assistant:last-of-type:not([aria-busy])').waitFor();
const engine = async () => (await fetch(`${server.url}/engine`)).json();
const fits = page => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth && document.body.scrollWidth <= document.body.clientWidth);

async function until(what, check, seconds = 10) {
  const end = Date.now() + seconds * 1000;
  while (!(await check())) {
    assert.ok(Date.now() < end, `${what}: not within ${seconds} s`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

let failed = 0;
async function step(name, run) {
  try {
    await run();
    console.log(`ok    ${name}`);
  } catch (failure) {
    failed++;
    console.log(`FAIL  ${name}\n${failure.stack}`);
  }
}

const page = await open(server.url);

await step('a question is answered: the thought is folded, tokens/s are told', async () => {
  await page.fill('#temperature', '0');
  await ask(page, 'What is 58 + 27?');
  await whole(page);
  const answer = lastAnswer(page);
  assert.match(await answer.locator('.body > .text').innerText(), /58 \+ 27 = 85/);
  assert.equal(await answer.locator('details.thought').evaluate(thought => thought.open), false);
  assert.match(await answer.locator('summary').innerText(), /^Thought /);
  assert.match(await answer.locator('.figures-line').innerText(), /^\d+ tokens · [\d.]+ tokens\/s · first after [\d.]+ s · prompt \d+.* · finish: stop$/);
  await answer.locator('summary').click();
  assert.match(await answer.locator('.thought .text').innerText(), /8 \+ 7 = 15/);
});

await step('the next turn knows the first', async () => {
  const sent = page.waitForRequest('**/v1/chat/completions');
  await ask(page, 'Count from 3 to 9.');
  assert.deepEqual((await sent).postDataJSON().messages.map(message => message.role), ['user', 'assistant', 'user']);
  await whole(page);
  assert.match(await lastAnswer(page).locator('.body > .text').innerText(), /\d/);
});

await step('an answer streams, with its thought open, and Shift+Enter does not send', async () => {
  await page.fill('#temperature', '1.2');
  await page.fill('#max_tokens', '1500');
  await page.fill('#more', endless);
  await page.evaluate(() => {
    window.seen = { lengths: new Set(), open: false };
    new MutationObserver(() => {
      const answer = document.querySelector('article.assistant[aria-busy]');
      if (answer) {
        window.seen.lengths.add(answer.textContent.length);
        window.seen.open ||= !!answer.querySelector('details[open]');
      }
    }).observe(document.querySelector('#log'), { subtree: true, childList: true, characterData: true });
  });
  await page.fill('#prompt', story);
  await page.press('#prompt', 'Shift+Enter');
  assert.equal(await page.inputValue('#prompt'), `${story}\n`);
  await ask(page, story);
  await until('text grows', () => page.evaluate(() => window.seen.lengths.size > 10));
  await page.screenshot({ path: `${shots}/streaming.png` });
  assert.equal(await page.evaluate(() => window.seen.open), true);
});

await step('the stop button ends it at once, and the engine has nothing left to do', async () => {
  await until('it runs', async () => (await engine()).running === 1);
  await page.click('#halt');
  await until('the page says so', () => page.locator('#send').isVisible(), 1);
  await until('the engine is idle', async () => (await engine()).running === 0, 2);
  assert.match(await lastAnswer(page).locator('.figures-line').innerText(), /^\d+ tokens · .*finish: stopped$/);
  assert.ok(parseInt(await lastAnswer(page).locator('.figures-line').innerText()) < 1500);
});

await step('Escape stops too', async () => {
  await ask(page, story);
  await until('it runs', async () => (await engine()).running === 1);
  await page.keyboard.press('Escape');
  await until('the engine is idle', async () => (await engine()).running === 0, 2);
  assert.match(await lastAnswer(page).innerText(), /stopped|Stopped/);
});

await step('the metrics move while answers are made', async () => {
  const map = () => page.evaluate(() => document.querySelector('#heatmap').toDataURL());
  const [before, generated] = [await map(), await page.innerText('#engine-note')];
  await page.click('#clear');
  await ask(page, story);
  await until('a sequence runs', async () => await page.innerText('#running') === '1');
  await until('tokens/s', async () => Number((await page.innerText('#speed')).replace(/,/g, '')) > 10);
  await until('the map', async () => await map() !== before);
  await until('the KV cache', async () => !/^0 %$/.test(await page.innerText('#kv-usage')));
  assert.notEqual(await page.innerText('#engine-note'), generated);
  await page.click('#halt');
  await until('nothing runs', async () => await page.innerText('#running') === '0');
  await until('time to first token', async () => /ms| s/.test(await page.innerText('#ttft50')));
  assert.match(await page.innerText('#prefix'), /%/);
});

await step('a page that is hidden asks nothing', async () => {
  const hide = hidden => page.evaluate(value => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  await page.waitForTimeout(2500);
  let asked = 0;
  page.on('request', () => asked++);
  await page.waitForTimeout(2500);
  assert.equal(asked, 0);
  await hide(false);
  await until('it asks again', () => asked > 2);
});

await step('tools pasted as JSON give a call with its arguments, and its result goes on', async () => {
  await page.click('#clear');
  await page.click('#reset-settings');
  await page.fill('#temperature', '0');
  await page.fill('#tools', JSON.stringify(tools));
  await ask(page, 'What is the secret for 7 and 56?');
  await whole(page);
  const call = lastAnswer(page).locator('.call');
  assert.match(await call.innerText(), /get_secret/);
  assert.deepEqual(JSON.parse(await call.locator('pre').innerText()), { a: 7, b: 56 });
  await call.locator('textarea').fill('63 degrees');
  await page.screenshot({ path: `${shots}/tool-call.png` });
  await call.getByRole('button', { name: 'Send result' }).click();
  await until('two answers', async () => await page.locator('article.assistant').count() === 2);
  await whole(page);
  assert.match(await lastAnswer(page).innerText(), /The secret is 63 degrees/);
});

await step('tools that are no JSON, or no tools, are told and not sent', async () => {
  const answers = await page.locator('article.assistant').count();
  for (const [wrong, told] of [['[{"type": "function",', /not JSON/], ['{}', /JSON list/], ['[{"name": "f"}]', /Entry 1 is no tool/]]) {
    await page.fill('#tools', wrong);
    await ask(page, 'Hello');
    assert.match(await page.innerText('#tools-fault'), told);
    assert.equal(await page.getAttribute('#tools', 'aria-invalid'), 'true');
  }
  await page.fill('#tools', '');
  await page.fill('#top_k', 'many');
  await ask(page, 'Hello');
  assert.match(await page.innerText('#top_k-fault'), /whole number/);
  assert.equal(await page.locator('article.assistant').count(), answers);
  await page.fill('#top_k', '');
});

await step('a refusal is shown, and another try works', async () => {
  await page.fill('#temperature', '9');
  await page.click('#clear');
  await ask(page, 'What is 2 + 3?');
  await page.locator('.failure').waitFor();
  assert.match(await page.innerText('.failure'), /temperature.*\(status 400\)/s);
  await page.fill('#temperature', '0');
  await page.getByRole('button', { name: 'Try again' }).click();
  await whole(page);
  assert.match(await lastAnswer(page).innerText(), /2 \+ 3 = 5/);
});

await step('an answer that is not streamed is shown too', async () => {
  await page.click('#clear');
  await page.uncheck('#stream');
  await ask(page, 'What is 4 + 4?');
  await whole(page);
  assert.match(await lastAnswer(page).innerText(), /= 8[^]*tokens\/s/);
  await page.check('#stream');
});

await step('what the model writes is text, never markup', async () => {
  const page = await open(server.url);
  const chunk = (delta, finish = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  await page.route('**/v1/chat/completions', route => route.fulfill({
    contentType: 'text/event-stream',
    body: chunk({ content: '<img src=x onerror=alert(1)>\n\n```html\n<b>' }) + chunk({ content: 'bold</b>\n```\nand more' }) + chunk({}, 'stop') + 'data: [DONE]\n\n',
  }));
  await ask(page, '<i>Hello</i>');
  await whole(page);
  assert.equal(await page.locator('#log img, #log b, #log i').count(), 0);
  assert.equal(await lastAnswer(page).locator('pre').innerText(), '<b>bold</b>');
  for (const [body, told] of [
    [chunk({ content: 'Half' }), /not complete/],
    [chunk({ content: 'Half' }) + 'data: {"error": {"message": "The engine has failed."}}\n\n', /^The engine has failed\.$/]]) {
    await page.unrouteAll();
    await page.route('**/v1/chat/completions', route => route.fulfill({ contentType: 'text/event-stream', body }));
    await ask(page, 'Hello');
    await whole(page);
    assert.match(await lastAnswer(page).innerText(), /Half/);
    assert.match(await lastAnswer(page).locator('.failure').innerText(), told);
  }
  for (const status of [401, 429, 503]) {
    await page.unrouteAll();
    await page.route('**/v1/chat/completions', route => route.fulfill({ status, contentType: 'application/json', body: JSON.stringify({ error: { message: `Told with ${status}.` } }) }));
    await ask(page, 'Hello');
    await whole(page);
    assert.match(await lastAnswer(page).locator('.failure').innerText(), new RegExp(`Told with ${status}\\..*\\(status ${status}\\)`));
  }
  await page.context().close();
});

await step('quantiles are those of Prometheus', async () => {
  const found = await page.evaluate(async () => {
    const { histogram, quantile, since, total } = await import('./page/metrics.js');
    const text = counts => counts.map(([bound, count]) => `t_seconds_bucket{model_name="le=\\"9\\"",le="${bound}"} ${count}`).join('\n');
    const old = histogram(text([['0.1', 3], ['0.2', 3], ['+Inf', 4]]), 't_seconds');
    const now = histogram(text([['0.1', 5], ['0.2', 11], ['+Inf', 14]]), 't_seconds');
    const added = since(now, old);
    return [total(added), quantile(added, .5), quantile(added, .99), quantile(since(old, now), .5), quantile([], .5)];
  });
  [10, .1 + .1 * 3 / 6, .2, .1 * 2 / 3, null].forEach((expected, index) => assert.ok(expected === null ? found[index] === null : Math.abs(found[index] - expected) < 1e-9, `${index}: ${found[index]}`));
});

await step('settings outlive a reload', async () => {
  await page.fill('#system', 'Be brief.');
  await page.reload();
  assert.equal(await page.inputValue('#system'), 'Be brief.');
  await page.click('#reset-settings');
});

await step('the request can be copied as curl', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.fill('#prompt', "What's 1 + 1?");
  await page.click('#curl');
  await page.getByText('Copied.').waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.startsWith(`curl -N '${server.url}/v1/chat/completions'`) && copied.includes("What'\\''s 1 + 1?"), copied);
  await page.fill('#prompt', '');
});

// What the pictures show: a short conversation, and an engine with work.
async function talk(page) {
  if (!await page.locator('#settings').isVisible())
    await page.click('[data-show="settings"]');
  await page.fill('#temperature', '0');
  await page.fill('#tools', JSON.stringify(tools, null, 2));
  await ask(page, 'What is the secret for 7 and 56?');
  await whole(page);
  await lastAnswer(page).locator('.call textarea').fill('63 degrees');
  await page.getByRole('button', { name: 'Send result' }).click();
  await until('two answers', async () => await page.locator('article.assistant').count() === 2);
  await whole(page);
  await page.locator('summary').first().click();
}

function load(count) {
  const abort = new AbortController();
  for (let index = 0; index < count; index++) {
    const body = { messages: [{ role: 'user', content: index % 2 ? story : `Count from ${index} to ${index + 30}.` }], temperature: 1.2, seed: index, max_tokens: 1200, ignore_eos: true };
    fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }, signal: abort.signal }).then(response => response.text()).catch(() => {});
  }
  return abort;
}

for (const [name, options] of [['desktop-light', { colorScheme: 'light' }], ['desktop-dark', { colorScheme: 'dark' }], ['middle', { width: 1000, height: 800 }], ['page', { width: 1440, height: 900, works: 50 }]]) {
  await step(`picture: ${name}`, async () => {
    const { works = 0, ...rest } = options;
    const page = await open(server.url, rest);
    await talk(page);
    for (let each = 0; each < works; each++) {
      const work = load(1 + each * 5 % 7);
      await page.waitForTimeout(1000);
      work.abort();
    }
    const work = load(6);
    await page.waitForTimeout(3000);
    await page.screenshot({ path: `${shots}/${name}.png` });
    assert.ok(await fits(page));
    work.abort();
    await page.context().close();
  });
}

await step('picture: the engine under load', async () => {
  const page = await open(server.url, { width: 420, height: 900, deviceScaleFactor: 2 });
  await page.click('[data-show="engine"]');
  const work = load(16);
  await page.waitForTimeout(5000);
  await page.screenshot({ path: `${shots}/engine.png` });
  assert.ok(Number(await page.innerText('#running')) > 0);
  work.abort();
  await page.context().close();
});

await step('a phone of 360 pixels needs no sideways scrolling in any view', async () => {
  const page = await open(server.url, { width: 360, height: 740, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  await page.click('[data-show="settings"]');
  await page.click('#tools-example');
  await page.click('[data-show="chat"]');
  await ask(page, `${'word'.repeat(40)} What is the weather in Rome?`);
  await whole(page);
  for (const view of ['engine', 'settings', 'chat']) {
    await page.click(`[data-show="${view}"]`);
    await page.waitForTimeout(700);
    assert.ok(await fits(page), view);
    await page.screenshot({ path: `${shots}/phone-${view}.png` });
  }
  await page.context().close();
});

await step('behind a path and with a key, the browser asks its user once; a broken connection is told', async () => {
  const guarded = await serve('--api-key', 'sesame', '--root-path', '/llm');
  try {
    const page = await open(`${guarded.url}/llm`, { httpCredentials: { username: 'me', password: 'sesame' } });
    assert.equal(page.url(), `${guarded.url}/llm/`);
    await page.fill('#temperature', '0');
    await ask(page, 'What is 58 + 27?');
    await whole(page);
    assert.match(await lastAnswer(page).innerText(), /58 \+ 27 = 85/);
    await until('the engine view', async () => /ready/.test(await page.innerText('#status')));
    await page.fill('#more', endless);
    await ask(page, story);
    await until('it streams', async () => (await lastAnswer(page).innerText()).length > 100);
    guarded.kill();
    await page.locator('.failure').waitFor();
    assert.match(await page.innerText('.failure'), /the response is incomplete/);
    await until('the engine view', async () => /cannot be reached/.test(await page.innerText('#status')));
    await page.screenshot({ path: `${shots}/broken.png` });
    await page.context().close();
  } finally {
    await guarded.stop();
  }
});

await step('no request went elsewhere, and the console has no complaint', async () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(complaints, []);
});

await browser.close();
await server.stop();
console.log(failed ? `${failed} failed` : 'all passed');
process.exit(failed ? 1 : 0);
