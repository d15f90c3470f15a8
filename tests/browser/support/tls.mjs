// Two sites behind TLS: the one under test, by a proxy that does nothing else, and somebody else's.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate that nobody trusts, for the time of a test. */
function certificate() {
  const dir = mkdtempSync(join(tmpdir(), 'councilsense-tls-'));
  try {
    const [key, cert] = ['key', 'cert'].map((name) => join(dir, name));
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
        ...['-subj', '/CN=test', '-keyout', key, '-out', cert],
      ],
      { stdio: 'ignore' },
    );
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Answers on `port` by TLS what `target` (`host:port`) says, WebSockets included. Resolves to a server to close. */
export function terminate(port, target) {
  const [host, targetPort] = target.split(':');
  const server = https.createServer(certificate(), (request, response) => {
    const { method, url, headers } = request;
    const onward = http.request({ host, port: targetPort, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('upgrade', (request, socket, head) => {
    const onward = net.connect(Number(targetPort), host, () => {
      const lines = request.rawHeaders.flatMap((each, at, all) => (at % 2 ? [] : [`${each}: ${all[at + 1]}`]));
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const [one, other] of [
      [onward, socket],
      [socket, onward],
    ])
      one.on('error', () => other.destroy());
  });
  return listen(server, port);
}

/** Somebody else's site: every path is this page. */
export function foreign(port, page) {
  return listen(
    https.createServer(certificate(), (_, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end(page),
    ),
    port,
  );
}

function listen(server, port) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
