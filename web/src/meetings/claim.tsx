import type { ResultOf } from '../graphql/graphql.ts';
import { EvidenceDisclosure } from '../evidence/evidence-disclosure.tsx';
import type { ClaimFields, ClaimItem } from '../evidence/fragments.ts';
import { OUTCOMES } from '../text/words.ts';

type Decision = NonNullable<ResultOf<typeof ClaimFields>['decision']>;
type Votes = NonNullable<Decision['votes']>;

/** One statement of a summary with the way to its source. */
export function Claim({ claim }: { claim: ClaimItem }) {
  const { decision } = claim;
  return (
    <li className="claim">
      {decision ? (
        <p className="claim-head">
          <OutcomeBadge outcome={decision.outcome} />
          {decision.fileNumber ? <span className="file-number">{decision.fileNumber}</span> : null}
        </p>
      ) : null}
      <p className="claim-text">{claim.text}</p>
      {decision ? <DecisionRecord decision={decision} /> : null}
      <EvidenceDisclosure claim={claim} />
    </li>
  );
}

export function OutcomeBadge({ outcome }: { outcome: Decision['outcome'] }) {
  return <span className={`badge outcome-${outcome.toLowerCase()}`}>{OUTCOMES[outcome]}</span>;
}

function DecisionRecord({ decision }: { decision: Decision }) {
  const votes = decision.votes ? voteLines(decision.votes) : [];
  if (!decision.mover && !decision.seconder && votes.length === 0) return null;
  return (
    <dl className="record">
      {decision.mover ? (
        <div>
          <dt>Moved by</dt>
          <dd>{decision.mover}</dd>
        </div>
      ) : null}
      {decision.seconder ? (
        <div>
          <dt>Seconded by</dt>
          <dd>{decision.seconder}</dd>
        </div>
      ) : null}
      {votes.map(({ label, count, names }) => (
        <div key={label}>
          <dt>
            {label} {count}
          </dt>
          {names ? <dd>{names}</dd> : null}
        </div>
      ))}
    </dl>
  );
}

/** The votes worth a line: yeas and nays whenever counted, the others only when somebody is named. */
export function voteLines(votes: Votes): { label: string; count: number; names: string }[] {
  const line = (label: string, people: readonly string[], counted: number | null) => ({
    label,
    count: counted ?? people.length,
    names: people.join(', '),
  });
  const always = [
    { shown: votes.yeaCount !== null || votes.yeas.length > 0, ...line('Yeas', votes.yeas, votes.yeaCount) },
    { shown: votes.nayCount !== null || votes.nays.length > 0, ...line('Nays', votes.nays, votes.nayCount) },
    { shown: votes.abstain.length > 0, ...line('Abstained', votes.abstain, null) },
    { shown: votes.recused.length > 0, ...line('Recused', votes.recused, null) },
    { shown: votes.absent.length > 0, ...line('Absent', votes.absent, null) },
  ];
  return always.filter((each) => each.shown).map(({ label, count, names }) => ({ label, count, names }));
}
