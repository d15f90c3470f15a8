import { useMemo, useState } from 'react';
import type { ClaimItem } from '../evidence/fragments.ts';
import type { DecisionOutcome } from '../graphql/graphql.ts';
import { OUTCOMES, plural } from '../text/words.ts';
import { Claim } from './claim.tsx';

/** A list longer than this can be narrowed; a shorter one is read faster than a filter is used. */
const FILTER_FROM = 8;

interface ClaimSectionProps {
  id: string;
  title: string;
  claims: readonly ClaimItem[];
}

/** The claims of one kind under their heading; nothing at all when there are none. */
export function ClaimSection({ id, title, claims }: ClaimSectionProps) {
  const [outcome, setOutcome] = useState<DecisionOutcome | ''>('');
  const [words, setWords] = useState('');
  const outcomes = useMemo(() => countOutcomes(claims), [claims]);
  const shown = useMemo(() => filterClaims(claims, outcome, words), [claims, outcome, words]);
  if (claims.length === 0) return null;
  const narrowed = shown.length !== claims.length;
  return (
    <section className="claim-section" aria-labelledby={id}>
      <h2 id={id} tabIndex={-1}>
        {title} <span className="count">{claims.length}</span>
      </h2>
      {claims.length >= FILTER_FROM ? (
        <form className="filters filters-inline" role="search" onSubmit={(event) => event.preventDefault()}>
          <label>
            <span>Find in {title.toLowerCase()}</span>
            <input type="search" value={words} onChange={(event) => setWords(event.target.value)} />
          </label>
          {outcomes.length > 1 ? (
            <label>
              <span>Outcome</span>
              <select value={outcome} onChange={(event) => setOutcome(event.target.value as DecisionOutcome | '')}>
                <option value="">Any outcome</option>
                {outcomes.map(([each, count]) => (
                  <option key={each} value={each}>
                    {OUTCOMES[each]} ({count})
                  </option>
                ))}
              </select>
            </label>
          ) : null}
          <p className="fine" role="status">
            {narrowed ? `${plural(shown.length, 'match', 'matches')} of ${claims.length}` : ''}
          </p>
        </form>
      ) : null}
      {shown.length > 0 ? (
        <ol className="claims">
          {shown.map((claim) => (
            <Claim key={claim.id} claim={claim} />
          ))}
        </ol>
      ) : (
        <p>None of them matches. Clear the words or choose any outcome.</p>
      )}
    </section>
  );
}

function countOutcomes(claims: readonly ClaimItem[]): [DecisionOutcome, number][] {
  const counts = new Map<DecisionOutcome, number>();
  for (const { decision } of claims) {
    if (decision) counts.set(decision.outcome, (counts.get(decision.outcome) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** The claims with this outcome whose words, file number or people contain every word asked for. */
export function filterClaims(
  claims: readonly ClaimItem[],
  outcome: DecisionOutcome | '',
  words: string,
): readonly ClaimItem[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (outcome === '' && wanted.length === 0) return claims;
  return claims.filter((claim) => {
    if (outcome !== '' && claim.decision?.outcome !== outcome) return false;
    const { decision } = claim;
    const text = [claim.text, decision?.fileNumber, decision?.title, decision?.mover, decision?.seconder]
      .join(' ')
      .toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}
