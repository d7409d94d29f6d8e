// Drives the RAG sample's page in a real Chromium against the real server: node rag.test.mjs [folder for the screenshots]
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serveRag } from './server.mjs';

const shots = process.argv[2] ?? 'screenshots';
mkdirSync(shots, { recursive: true });

// The shipped documents, and one that tries to inject HTML and scripts.
const folder = mkdtempSync(join(tmpdir(), 'rag-'));
cpSync(fileURLToPath(new URL('../../samples/Rag/documents', import.meta.url)), join(folder, 'documents'), { recursive: true });
writeFileSync(join(folder, 'documents', '<b onclick=alert(1)>.txt'), 'The power of the Atlas pump is 55 watts. <img src=x onerror=alert(1)> <script>alert(2)</script>\n');

const server = await serveRag('--documents', join(folder, 'documents'), '--store', join(folder, 'rag.db'));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

const foreign = [];
const complaints = [];
async function open({ width = 1100, height = 900, ...options } = {}) {
  const page = await (await browser.newContext({ viewport: { width, height }, ...options })).newPage();
  page.on('request', request => request.url().startsWith(server.url) || request.url().startsWith('data:') || foreign.push(request.url()));
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('dialog', dialog => complaints.push(dialog.message()) && dialog.dismiss());
  page.on('console', message => ['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource') && complaints.push(message.text()));
  await page.goto(server.url);
  await page.getByText(/documents, \d+ passages · tiny-r1 · tiny-m3/).waitFor();
  return page;
}

async function ask(page, question) {
  await page.fill('#question', question);
  await page.press('#question', 'Enter');
  await page.locator('#answer[data-state]').waitFor();
  await page.locator('#result:not([aria-busy])').waitFor();
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

const page = await open();

await step('a question is answered, and the passage that says so is marked', async () => {
  await ask(page, 'What is the power of the Ember server?');
  assert.equal(await page.innerText('#answer'), 'The power of the Ember server is 903 watts. [1]');
  assert.equal(await page.innerText('li.cited mark'), 'The power of the Ember server is 903 watts.');
  assert.equal(await page.locator('li.cited').count(), 1);
  assert.match(await page.innerText('li.cited .source'), /north-hall\.md · lines 19–21 · Inventory of the north hall › Ember server\s+0\.\d{3}/);
  assert.equal(await page.innerText('#sources li'), '[1] north-hall.md · line 21 · Inventory of the north hall › Ember server');
  assert.ok(await page.locator('#passages li').count() > 1);
  await page.screenshot({ path: `${shots}/rag-answer.png` });
});

await step('a citation leads to its passage', async () => {
  await page.click('#answer a');
  assert.match(page.url(), /#source-1$/);
  assert.equal(await page.locator('#source-1').innerText(), '[1] ');
});

await step('the thought is folded, and can be read', async () => {
  assert.equal(await page.locator('#thought').evaluate(thought => thought.open), false);
  await page.click('#thought summary');
  assert.match(await page.innerText('#thought p'), /903 watts\. Yes\./);
});

await step('a PDF is cited with its page', async () => {
  await ask(page, 'Tell me the range of the Sigma drone.');
  assert.match(await page.innerText('#answer'), /^The range of the Sigma drone is 541 km\. \[\d\]$/);
  assert.match(await page.innerText('li.cited .source'), /survey\.pdf · page 3 · /);
});

await step('a question whose answer is not there is told as such', async () => {
  await ask(page, 'What is the speed of the Harbor server?');
  assert.equal(await page.innerText('#answer'), 'The context does not say.');
  assert.equal(await page.getAttribute('#answer', 'data-state'), 'not_found');
  assert.equal(await page.innerText('#passages-title'), 'Nearest passages');
  assert.equal(await page.locator('li.cited, mark').count(), 0);
  await page.screenshot({ path: `${shots}/rag-not-found.png` });
  await ask(page, 'How do I bake bread?');
  assert.equal(await page.innerText('#passages-title'), 'No passage is near.');
  assert.equal(await page.locator('#passages li').count(), 0);
});

await step('a document is text, never markup', async () => {
  await ask(page, 'What is the power of the Atlas pump?');
  assert.match(await page.innerText('#passages'), /<img src=x onerror=alert\(1\)> <script>/);
  assert.match(await page.innerText('#passages'), /<b onclick=alert\(1\)>\.txt/);
  assert.equal(await page.locator('main img, main script, main b').count(), 0);
});

await step('the words stream, and stop ends them', async () => {
  const slow = await open();
  await slow.route('**/api/ask', () => {});
  await slow.fill('#question', 'What is the power of the Ember server?');
  await slow.click('#ask');
  await slow.click('#stop');
  assert.equal(await slow.innerText('#answer'), 'Stopped.');
  await slow.unrouteAll();
  await slow.evaluate(() => {
    window.lengths = new Set();
    new MutationObserver(() => window.lengths.add(document.querySelector('#answer').textContent.length)).observe(document.querySelector('#answer'), { childList: true, subtree: true, characterData: true });
  });
  await ask(slow, 'What is the power of the Ember server?');
  assert.ok(await slow.evaluate(() => window.lengths.size) > 3);
  await slow.context().close();
});

await step('what goes wrong is told', async () => {
  await page.route('**/api/ask', route => route.fulfill({ status: 400, contentType: 'application/json', body: '{"error": "the question is empty; ask something"}' }));
  await ask(page, 'What?');
  assert.equal(await page.innerText('#answer'), 'the question is empty; ask something');
  await page.unrouteAll();
  for (const body of ['', '<html>Bad gateway</html>', '{}']) {
    await page.route('**/api/ask', route => route.fulfill({ status: 502, body }));
    await ask(page, 'What?');
    assert.match(await page.innerText('#answer'), /^The server answers with status 502( Bad Gateway)?\.$/);
    await page.unrouteAll();
  }
  await page.route('**/api/ask', route => route.fulfill({ contentType: 'text/event-stream', body: 'event: text\ndata: "Half"\n\n' }));
  await ask(page, 'What?');
  assert.equal(await page.innerText('#answer'), 'The answer broke off.');
  await page.unrouteAll();
});

await step('it fits a phone, in the dark too', async () => {
  const phone = await open({ width: 390, height: 844, colorScheme: 'dark' });
  await ask(phone, 'What is the power of the Ember server?');
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
  await phone.screenshot({ path: `${shots}/rag-phone.png` });
  await phone.context().close();
});

await step('no request went elsewhere, and the console has no complaint', async () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(complaints, []);
});

await browser.close();
await server.stop();
rmSync(folder, { recursive: true });
console.log(failed ? `${failed} failed` : 'all passed');
process.exit(failed ? 1 : 0);
