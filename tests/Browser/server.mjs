// Starts the real servers on the tiny models that lie in the repository.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/** A server on a free port: its address, and how to end it. */
export const serve = (...options) => start('src/Tool/bin/Release/net10.0/localllm.dll', 'serve', `${repository}models/tiny-r1`, '--host', '127.0.0.1', '--port', '0', ...options);

/** The sample that answers from documents, in the same way. */
export const serveRag = (...options) => start('samples/Rag/bin/Release/net10.0/LocalLlm.Samples.Rag.dll', 'serve', '--port', '0', ...options);

async function start(program, ...args) {
  const child = spawn('dotnet', [repository + program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const url = await new Promise((resolve, reject) => {
    const listen = data => {
      said += data;
      const found = /listening on (http:\S+)/.exec(said);
      if (found)
        resolve(found[1].replace(/\/$/, ''));
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.on('exit', () => reject(new Error(`The server ended: ${said}`)));
  });
  return {
    url,
    kill: () => child.kill('SIGKILL'),
    log: () => said,
    stop: () => new Promise(resolve => {
      child.removeAllListeners('exit');
      if (child.exitCode !== null || child.signalCode !== null)
        return resolve();
      child.on('exit', resolve);
      child.kill('SIGTERM');
    }),
  };
}
