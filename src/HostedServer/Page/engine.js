// The live view of the engine: polls the server twice a second, and not at all while the view is hidden.
import { get } from './api.js';
import { heatmap, sparkline } from './charts.js';
import { byId } from './dom.js';
import { histogram, quantile, since, total } from './metrics.js';

const engineEvery = 500;
const metricsEvery = 2000;
const speedsKept = 240; // two minutes
const speedWindow = 4; // number of readings that "now" averages
const minute = 60_000;
const firstToken = 'localllm_time_to_first_token_seconds';

let last = null; // the last reading and its time
let speeds = [];
let histograms = []; // of the last minute

const put = (id, text) => {
  if (byId(id).textContent !== text)
    byId(id).textContent = text;
};
const whole = new Intl.NumberFormat('en');
const percent = share => `${(share * 100).toFixed(share > 0 && share < .1 ? 1 : 0)} %`;
const seconds = value => value === null ? '–' : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;

function state(name, text) {
  byId('status').dataset.state = name;
  put('status', text);
}

async function readEngine() {
  try {
    show(await (await get('engine')).json());
  } catch (failure) {
    last = null;
    take(null);
    for (const id of ['running', 'waiting', 'speed'])
      put(id, '–');
    await explain(failure);
  }
}

// A loading server reports its progress.
async function explain(failure) {
  if (failure.status !== 503) {
    state('down', failure.message);
    return;
  }
  try {
    const response = await fetch('ready', { signal: AbortSignal.timeout(5000), cache: 'no-store' });
    const { phase, percent: done } = await response.json();
    if (phase)
      state('loading', `loading: ${phase}${done == null ? '' : `, ${Math.round(done)} %`}`);
    else
      state('down', failure.message);
  } catch {
    state('down', failure.message);
  }
}

function show(now) {
  const time = performance.now();
  // If a counter fell, the server was restarted.
  take(last && now.generated_tokens >= last.tokens ? (now.generated_tokens - last.tokens) / (time - last.time) * 1000 : null);
  last = { tokens: now.generated_tokens, time };
  const recent = speeds.slice(-speedWindow).filter(speed => speed !== null);
  const speed = recent.length ? recent.reduce((sum, each) => sum + each, 0) / recent.length : 0;
  state('ready', now.running ? `${now.model}: ${now.running} running, ${now.waiting} waiting` : `${now.model} is ready`);
  put('engine-note', `${now.model}, up to ${whole.format(now.max_model_len)} tokens a sequence; ${whole.format(now.generated_tokens)} tokens made since its start`);
  put('running', whole.format(now.running));
  put('waiting', whole.format(now.waiting));
  put('speed', speed < 10 ? speed.toFixed(1) : whole.format(Math.round(speed)));
  put('prefix', now.prefix_cache_queries ? percent(now.prefix_cache_hits / now.prefix_cache_queries) : '–');
  put('prefix-note', `${whole.format(now.prefix_cache_hits)} of ${whole.format(now.prefix_cache_queries)} prompt tokens came from the cache`);
  put('preemptions', whole.format(now.preemptions));
  const held = now.kv_blocks_total - now.kv_blocks_free;
  put('kv-usage', percent(now.kv_cache_usage));
  put('kv-note', `${whole.format(held)} of ${whole.format(now.kv_blocks_total)} blocks are held; ${cellSize(now)}`);
  heatmap(byId('heatmap'), now.kv_blocks);
  byId('heatmap').setAttribute('aria-label', `KV blocks: ${whole.format(held)} of ${whole.format(now.kv_blocks_total)} held`);
}

function cellSize({ kv_blocks_total: blocks, kv_blocks: cells }) {
  const share = blocks / Math.max(1, cells.length);
  return share <= 1 ? 'a cell is one block' : `a cell is ${Number.isInteger(share) ? '' : 'about '}${whole.format(Math.round(share))} blocks`;
}

function take(speed) {
  speeds = [...speeds, speed].slice(-speedsKept);
  const peak = Math.max(0, ...speeds.filter(each => each !== null));
  put('peak', peak ? `peak ${whole.format(Math.round(peak))}` : '');
  sparkline(byId('sparkline'), speeds, speedsKept);
  byId('sparkline').setAttribute('aria-label', `Tokens per second in the last two minutes, at most ${Math.round(peak)}`);
}

async function readMetrics() {
  let newest;
  try {
    newest = histogram(await (await get('metrics')).text(), firstToken);
  } catch {
    return; // the other request reports why
  }
  const time = performance.now();
  // Keeps one reading from before the last minute; the difference to it is the last minute's count.
  while (histograms.length > 1 && histograms[1].time < time - minute)
    histograms.shift();
  const recent = since(newest, histograms[0]?.buckets);
  histograms.push({ time, buckets: newest });
  const buckets = total(recent) > 0 ? recent : newest;
  put('ttft50', seconds(quantile(buckets, .5)));
  put('ttft90', seconds(quantile(buckets, .9)));
  const count = total(buckets);
  put('ttft-note', count ? `of ${whole.format(count)} ${count === 1 ? 'request' : 'requests'}, ${buckets === recent ? 'the last minute' : 'since the server’s start'}` : 'no request yet');
}

// Only one reading at a time, even if the server is slow.
async function every(period, read) {
  for (;;) {
    if (document.hidden) {
      last = null;
      await new Promise(resolve => document.addEventListener('visibilitychange', resolve, { once: true }));
      continue;
    }
    await read();
    await new Promise(resolve => setTimeout(resolve, period));
  }
}

every(engineEvery, readEngine);
every(metricsEvery, readMetrics);
