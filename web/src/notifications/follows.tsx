import { useMutation } from 'urql';
import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { humanize } from '../text/words.ts';
import { Failed, Loading, PartlyFailed } from '../ui/states.tsx';

const FollowsQuery = graphql(`
  query Follows {
    follows {
      id
      kind
      origin
      topic
      city {
        id
        name
      }
      body {
        id
        name
      }
      savedSearch {
        id
        name
      }
    }
  }
`);

const Unfollow = graphql(`
  mutation Unfollow($input: UnfollowInput!) {
    unfollow(input: $input) {
      id
      userErrors {
        message
      }
    }
  }
`);

type Follow = ResultOf<typeof FollowsQuery>['follows'][number];

/** What the reader is told about, each with a way to stop. */
export function Follows() {
  const loaded = useLoaded(FollowsQuery, {}, { dependsOn: ['Follow', 'Viewer'] });
  const [state, unfollow] = useMutation(Unfollow);
  if (loaded.status === 'loading') return <Loading what="what you follow" lines={2} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const { follows } = loaded.data;
  const refusal = state.data?.unfollow.userErrors[0];
  return (
    <section aria-labelledby="follows">
      <h2 id="follows">What you follow</h2>
      <PartlyFailed error={state.error} />
      {refusal ? <p role="alert">{refusal.message}</p> : null}
      {follows.length === 0 ? <p>Nothing yet.</p> : null}
      <ul className="plain-list">
        {follows.map((follow) => (
          <li key={follow.id} className="row">
            <span>{nameOf(follow)}</span>
            <button
              type="button"
              className="button-quiet"
              disabled={state.fetching}
              onClick={() => void unfollow({ input: { id: follow.id } }).then(loaded.refresh)}
            >
              Stop<span className="visually-hidden"> following {nameOf(follow)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function nameOf({ city, body, topic, savedSearch }: Follow): string {
  if (savedSearch) return `Search “${savedSearch.name}”`;
  if (topic) return humanize(topic);
  return body?.name ?? city?.name ?? 'A city that is no longer listed';
}
