// Reads Prometheus's text format as far as the engine view needs it.

/** The buckets of a histogram (cumulative counts by upper bound, in order), all label sets added up. */
export function histogram(text, name) {
  const counts = new Map();
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}_bucket{`))
      continue;
    const bound = /[{,]le="([^"]+)"/.exec(line)?.[1];
    const value = Number(line.slice(line.lastIndexOf(' ') + 1));
    if (bound !== undefined && Number.isFinite(value)) {
      const key = bound === '+Inf' ? Infinity : Number(bound);
      counts.set(key, (counts.get(key) ?? 0) + value);
    }
  }
  return [...counts].sort(([left], [right]) => left - right);
}

/** The counts added between two readings; all of the newer one's if there is no older one or the server was restarted. */
export function since(newer, older) {
  const before = new Map(older ?? []);
  const added = newer.map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]);
  return added.some(([, count]) => count < 0) ? newer : added;
}

export const total = buckets => buckets.at(-1)?.[1] ?? 0;

/** The quantile, interpolated linearly within its bucket as in Prometheus; null if nothing was counted. */
export function quantile(buckets, share) {
  const rank = share * total(buckets);
  if (!(rank > 0))
    return null;
  let low = 0;
  let below = 0;
  for (const [bound, count] of buckets) {
    if (count >= rank)
      return bound === Infinity ? low : low + (bound - low) * (rank - below) / (count - below);
    [low, below] = [bound, count];
  }
  return low;
}
