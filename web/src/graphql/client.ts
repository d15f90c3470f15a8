import { Client, cacheExchange, fetchExchange, subscriptionExchange, type ExecutionResult } from 'urql';
import { persistedExchange } from '@urql/exchange-persisted';
import { socket } from './socket.ts';

/** The one GraphQL client of the page: POST for reads and writes, the WebSocket for what is live. */
export function createGraphqlClient(): Client {
  return new Client({
    url: '/graphql',
    // The server takes mutations and queries by POST; a GET would also skip the CSRF header's preflight.
    preferGetMethod: false,
    requestPolicy: 'cache-and-network',
    fetchOptions: () => ({
      credentials: 'same-origin',
      headers: { accept: 'application/graphql-response+json', 'x-csrf': '1' },
    }),
    exchanges: [
      cacheExchange,
      // Documents go by their hash: the server carries them (scripts/documents.mjs), and is sent the text of one it lacks.
      persistedExchange({ preferGetForPersistedQueries: false, enableForMutation: true }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe(
              { query: query ?? '', variables: variables ?? {} },
              {
                next: (result) => sink.next(result as ExecutionResult),
                error: (cause) => sink.error(cause),
                complete: () => sink.complete(),
              },
            ),
          }),
        }),
      }),
    ],
  });
}
