import { createClient } from 'graphql-ws';

const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';

/**
 * The page's WebSocket. It opens with the first subscription, carries the session cookie and comes back by
 * itself after a lost connection; a close code of 4400–4499 is the server's final word and is not retried.
 */
export const socket = createClient({
  url: `${scheme}://${window.location.host}/graphql/ws`,
  lazy: true,
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
  retryWait: (attempt) =>
    new Promise((resolve) => {
      const ceiling = Math.min(30_000, 1_000 * 2 ** attempt);
      setTimeout(resolve, ceiling / 2 + Math.random() * (ceiling / 2));
    }),
});
