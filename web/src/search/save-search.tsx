import { useState } from 'react';
import { useMutation } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { describeFailure } from '../text/errors.ts';
import { useViewer } from '../viewer/viewer.tsx';
import type { KeptSearch } from './search-request.ts';

const SaveSearch = graphql(`
  mutation SaveSearch($input: SaveSearchInput!) {
    saveSearch(input: $input) {
      savedSearch {
        id
      }
      userErrors {
        message
      }
    }
  }
`);

/** Keeps the search, and tells the reader of meetings that match it. Only for who is signed in. */
export function SaveThisSearch({ search }: { search: KeptSearch }) {
  const { viewer } = useViewer();
  const [state, save] = useMutation(SaveSearch);
  const [said, setSaid] = useState('');
  if (!viewer) return null;
  const keep = async () => {
    const result = await save({ input: { ...search, follow: true } });
    const refusal = result.data?.saveSearch.userErrors[0];
    if (result.error) setSaid(describeFailure(result.error).title);
    else setSaid(refusal?.message ?? 'You are told of meetings that match.');
  };
  return (
    <p className="row">
      <button type="button" className="button" disabled={state.fetching} onClick={() => void keep()}>
        Tell me of new matches
      </button>
      <span className="fine" role="status">
        {said}
      </span>
    </p>
  );
}
