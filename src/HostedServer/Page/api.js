// Talks to the server over its public API. URLs are relative, so the page also works below a path of a proxy.

/** An error response or an incomplete response; its message is meant to be shown. */
export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

const unreachable = 'The server cannot be reached.';

/** A GET; throws ApiError. */
export async function get(path, timeout = 5000) {
  let response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(timeout), cache: 'no-store' });
  } catch {
    throw new ApiError(unreachable);
  }
  if (!response.ok)
    throw await refusal(response);
  return response;
}

/** The pieces of a chat response as they come; one piece if it is not streamed. Throws ApiError, and AbortError once `signal` aborts. */
export async function* chat(body, signal) {
  let response;
  try {
    response = await fetch('v1/chat/completions', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal });
  } catch (failure) {
    throw signal.aborted ? failure : new ApiError(unreachable);
  }
  if (!response.ok)
    throw await refusal(response);
  let isWhole = false;
  try {
    if (!response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      const whole = await response.json();
      yield { usage: whole.usage, choices: whole.choices.map(choice => ({ ...choice, delta: choice.message })) };
      return;
    }
    for await (const data of events(response.body)) {
      if (data === '[DONE]') {
        isWhole = true;
        break;
      }
      const piece = JSON.parse(data);
      if (piece.error)
        throw new ApiError(piece.error.message ?? 'The server failed.');
      yield piece;
    }
  } catch (failure) {
    throw signal.aborted || failure instanceof ApiError ? failure : new ApiError('The connection broke; the response is incomplete.');
  }
  if (!isWhole)
    throw new ApiError('The connection ended early; the response is incomplete.');
}

// The data of server-sent events.
async function* events(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done)
        return;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('data:'))
          yield line.slice(5).trim();
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function refusal(response) {
  let message = '';
  try {
    message = (await response.json()).error?.message ?? '';
  } catch {
    // The body is not from the server itself: only the status is known.
  }
  if (response.status === 401)
    message = (message || 'The API key is missing or wrong.') + ' Reload the page to enter it.';
  return new ApiError(`${message || response.statusText || 'The request was refused.'} (status ${response.status})`, response.status);
}
