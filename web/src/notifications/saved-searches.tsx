import { Link } from 'react-router';
import { useMutation } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { addressOf } from '../search/search-request.ts';
import { Failed, Loading } from '../ui/states.tsx';

const SavedSearchesQuery = graphql(`
  query SavedSearches {
    savedSearches {
      id
      name
      query
      filter {
        cityIds
        bodyIds
        artifactKinds
      }
      followed
    }
  }
`);

const Delete = graphql(`
  mutation DeleteSavedSearch($input: DeleteSavedSearchInput!) {
    deleteSavedSearch(input: $input) {
      id
      userErrors {
        message
      }
    }
  }
`);

const FollowSearch = graphql(`
  mutation FollowSearch($input: FollowInput!) {
    follow(input: $input) {
      follow {
        id
      }
      userErrors {
        message
      }
    }
  }
`);

/** The searches that the reader keeps. */
export function SavedSearches() {
  const loaded = useLoaded(SavedSearchesQuery, {}, { dependsOn: ['SavedSearch', 'Follow'] });
  const [deleting, remove] = useMutation(Delete);
  const [following, follow] = useMutation(FollowSearch);
  if (loaded.status === 'loading') return <Loading what="your searches" lines={1} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const { savedSearches } = loaded.data;
  if (savedSearches.length === 0) return null;
  const busy = deleting.fetching || following.fetching;
  return (
    <section aria-labelledby="searches">
      <h2 id="searches">Saved searches</h2>
      <ul className="plain-list">
        {savedSearches.map((each) => (
          <li key={each.id} className="row">
            <Link to={addressOf({ query: each.query, ...each.filter })}>{each.name}</Link>
            {each.followed ? null : (
              <button
                type="button"
                className="button-quiet"
                disabled={busy}
                onClick={() => void follow({ input: { savedSearchId: each.id } }).then(loaded.refresh)}
              >
                Follow<span className="visually-hidden"> {each.name}</span>
              </button>
            )}
            <button
              type="button"
              className="button-quiet"
              disabled={busy}
              onClick={() => void remove({ input: { id: each.id } }).then(loaded.refresh)}
            >
              Delete<span className="visually-hidden"> {each.name}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
