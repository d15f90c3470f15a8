import { useState } from 'react';
import { useMutation } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { formatMoment } from '../text/dates.ts';
import { describeFailure } from '../text/errors.ts';
import { Failed, Loading } from '../ui/states.tsx';
import { keysOf, nameOfBrowser, subscribe } from './push.ts';

const BrowsersQuery = graphql(`
  query Browsers {
    pushing {
      publicKey
      subscriptions {
        id
        host
        userAgent
        createdAt
      }
    }
  }
`);

const Register = graphql(`
  mutation RegisterPushSubscription($input: RegisterPushSubscriptionInput!) {
    registerPushSubscription(input: $input) {
      subscription {
        id
      }
      userErrors {
        message
      }
    }
  }
`);

const Remove = graphql(`
  mutation RemovePushSubscription($input: RemovePushSubscriptionInput!) {
    removePushSubscription(input: $input) {
      id
      userErrors {
        message
      }
    }
  }
`);

/** The browsers that show what is published while no page is open. */
export function Browsers() {
  const loaded = useLoaded(BrowsersQuery, {}, { dependsOn: ['PushSubscription'] });
  const [registering, register] = useMutation(Register);
  const [removing, remove] = useMutation(Remove);
  const [said, setSaid] = useState('');
  if (loaded.status === 'loading') return <Loading what="your browsers" lines={2} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const { publicKey, subscriptions } = loaded.data.pushing;
  const able = 'serviceWorker' in navigator && 'PushManager' in window;

  const add = async () => {
    setSaid('');
    try {
      const keys = keysOf(await subscribe(publicKey));
      const result = await register({ input: { ...keys, userAgent: nameOfBrowser(navigator.userAgent) } });
      const refusal = result.data?.registerPushSubscription.userErrors[0];
      if (result.error) setSaid(describeFailure(result.error).title);
      else setSaid(refusal ? refusal.message : 'This browser is told from now on.');
      loaded.refresh();
    } catch (error) {
      setSaid(error instanceof Error ? error.message : 'This browser cannot be told.');
    }
  };

  return (
    <section aria-labelledby="browsers">
      <h2 id="browsers">Browsers</h2>
      {subscriptions.length === 0 ? <p>No browser is told while no page is open.</p> : null}
      <ul className="plain-list">
        {subscriptions.map((each) => (
          <li key={each.id} className="row">
            <span>
              {each.userAgent || each.host} <span className="fine">since {formatMoment(each.createdAt)}</span>
            </span>
            <button
              type="button"
              className="button-quiet"
              disabled={removing.fetching}
              onClick={() => void remove({ input: { id: each.id } }).then(loaded.refresh)}
            >
              Remove<span className="visually-hidden"> {each.userAgent || each.host}</span>
            </button>
          </li>
        ))}
      </ul>
      {able ? (
        <button type="button" className="button" disabled={registering.fetching} onClick={() => void add()}>
          Tell me in this browser
        </button>
      ) : (
        <p className="fine">This browser takes no notifications from web pages.</p>
      )}
      <p className="fine" role="status">
        {said}
      </p>
    </section>
  );
}
