import { useMutation } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { formatMoment } from '../text/dates.ts';
import { Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { describeAgent } from './user-agent.ts';

const SessionsQuery = graphql(`
  query Sessions {
    sessions {
      id
      current
      createdAt
      lastSeenAt
      userAgent
    }
  }
`);

const EndSession = graphql(`
  mutation EndSession($input: EndSessionInput!) {
    endSession(input: $input) {
      id
      userErrors {
        message
      }
    }
  }
`);

/** Where the account is signed in; every other session can be ended from here. */
export function Sessions() {
  const loaded = useLoaded(SessionsQuery, {}, { dependsOn: ['Session'] });
  const [state, endSession] = useMutation(EndSession);
  if (loaded.status === 'loading') return <Loading what="your sessions" lines={3} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const refusal = state.data?.endSession.userErrors[0];
  return (
    <section aria-labelledby="sessions">
      <h2 id="sessions">Where you are signed in</h2>
      <PartlyFailed error={state.error} />
      {refusal ? <p role="alert">{refusal.message}</p> : null}
      <ul className="session-list">
        {loaded.data.sessions.map((session) => (
          <li key={session.id}>
            <span>
              <strong>{describeAgent(session.userAgent)}</strong>
              <span className="fine">
                Since {formatMoment(session.createdAt)} · last seen {formatMoment(session.lastSeenAt)}
              </span>
            </span>
            {session.current ? (
              <span className="badge badge-good">This one</span>
            ) : (
              <button
                type="button"
                className="button"
                disabled={state.fetching}
                aria-label={`End the session in ${describeAgent(session.userAgent)} since ${formatMoment(session.createdAt)}`}
                onClick={() => void endSession({ input: { id: session.id } }).then(loaded.refresh)}
              >
                End
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
