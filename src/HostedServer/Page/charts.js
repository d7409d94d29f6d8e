// The two pictures of the engine view, drawn on canvases in the style sheet's colours.

// A canvas in device pixels, and the current colours: the colour scheme may change while the page is open.
function begin(canvas, height) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  height ??= canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  return { context, width, height, colour: name => style.getPropertyValue(`--${name}`).trim() };
}

/** Draws a line of values, the newest at the right; null leaves a gap. `room` is the number of values that fit. */
export function sparkline(canvas, values, room) {
  const { context, width, height, colour } = begin(canvas);
  if (!width)
    return;
  const top = Math.max(1, ...values.filter(value => value !== null));
  const x = index => width - (values.length - 1 - index) * width / (room - 1);
  const y = value => height - 1.5 - value / top * (height - 4);
  context.strokeStyle = colour('edge');
  context.strokeRect(-1, height - .5, width + 2, 2);
  context.strokeStyle = context.fillStyle = colour('accent');
  context.lineWidth = 1.5;
  for (let start = 0; start < values.length; start++) {
    let end = start;
    while (end < values.length && values[end] !== null)
      end++;
    if (end - start > 1) {
      context.beginPath();
      for (let index = start; index < end; index++)
        context.lineTo(x(index), y(values[index]));
      context.stroke();
      context.lineTo(x(end - 1), height);
      context.lineTo(x(start), height);
      context.globalAlpha = .15;
      context.fill();
      context.globalAlpha = 1;
    }
    start = end;
  }
}

/** Draws the map of the KV blocks, a character per cell: '.' free, 'c' free with a cached prefix, '1' to '9' the share in use. */
export function heatmap(canvas, cells) {
  const columns = cells.length > 256 ? 32 : 16;
  const rows = Math.ceil(cells.length / columns);
  const size = canvas.clientWidth / columns;
  const { context, width, colour } = begin(canvas, Math.ceil(rows * size));
  if (!width)
    return;
  canvas.style.height = `${Math.ceil(rows * size)}px`;
  const colours = { '.': colour('cell-free'), c: colour('cell-cached') };
  for (let share = 1; share <= 9; share++)
    colours[share] = between(colour('cell-low'), colour('cell-high'), (share - 1) / 8);
  const gap = size > 5 ? 1 : .5;
  for (let index = 0; index < cells.length; index++) {
    context.fillStyle = colours[cells[index]] ?? colours['.'];
    context.fillRect(index % columns * size, Math.floor(index / columns) * size, size - gap, size - gap);
  }
}

// Mixes two colours written #rrggbb.
function between(low, high, share) {
  const part = (text, at) => parseInt(text.slice(at, at + 2), 16);
  return `rgb(${[1, 3, 5].map(at => Math.round(part(low, at) + (part(high, at) - part(low, at)) * share)).join(' ')})`;
}
