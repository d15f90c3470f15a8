import { useState } from 'react';
import { useMutation } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { describeFailure } from '../text/errors.ts';
import { Failed, Loading } from '../ui/states.tsx';

const WebhooksQuery = graphql(`
  query Webhooks {
    webhooks {
      id
      url
    }
  }
`);

const Add = graphql(`
  mutation AddWebhook($input: AddWebhookInput!) {
    addWebhook(input: $input) {
      webhook {
        id
      }
      secret
      userErrors {
        message
      }
    }
  }
`);

const Remove = graphql(`
  mutation RemoveWebhook($input: RemoveWebhookInput!) {
    removeWebhook(input: $input) {
      id
      userErrors {
        message
      }
    }
  }
`);

/** Addresses of the reader's own that are called, for programs. */
export function Webhooks() {
  const loaded = useLoaded(WebhooksQuery, {}, { dependsOn: ['Webhook'] });
  const [adding, add] = useMutation(Add);
  const [removing, remove] = useMutation(Remove);
  const [url, setUrl] = useState('');
  const [said, setSaid] = useState('');
  const [secret, setSecret] = useState<string | null>(null);
  if (loaded.status === 'loading') return <Loading what="your webhooks" lines={1} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;

  const save = async () => {
    const result = await add({ input: { url } });
    const refusal = result.data?.addWebhook.userErrors[0];
    if (result.error) {
      setSaid(result.error.graphQLErrors[0]?.message ?? describeFailure(result.error).title);
      return;
    }
    setSaid(refusal?.message ?? '');
    setSecret(result.data?.addWebhook.secret ?? null);
    if (!refusal) setUrl('');
    loaded.refresh();
  };

  return (
    <section aria-labelledby="webhooks">
      <h2 id="webhooks">Webhooks</h2>
      <ul className="plain-list">
        {loaded.data.webhooks.map((each) => (
          <li key={each.id} className="row">
            <span className="long-words">{each.url}</span>
            <button
              type="button"
              className="button-quiet"
              disabled={removing.fetching}
              onClick={() => void remove({ input: { id: each.id } }).then(loaded.refresh)}
            >
              Remove<span className="visually-hidden"> {each.url}</span>
            </button>
          </li>
        ))}
      </ul>
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <label className="field">
          <span>Address, https://…</span>
          <input type="url" required value={url} onChange={(event) => setUrl(event.target.value)} />
        </label>
        <button type="submit" className="button" disabled={adding.fetching || url === ''}>
          Add
        </button>
      </form>
      <p className="fine" role="status">
        {said}
      </p>
      {secret ? (
        <p>
          What is sent there is signed (Standard Webhooks) with <code className="long-words">{secret}</code>
        </p>
      ) : null}
    </section>
  );
}
