import { Link } from 'react-router';
import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { formatDay } from '../text/dates.ts';
import { meetingPath } from '../text/links.ts';
import { HIDDEN_SUMMARY, isUnderWay, MEETING_STATUSES, RUN_STATES } from '../text/words.ts';

export const MeetingCardFields = graphql(`
  fragment MeetingCardFields on Meeting {
    id
    title
    date
    status
    runState
    city {
      id
      name
      slug
    }
    body {
      id
      name
    }
    summary {
      id
      verdict
      shortSummary
      claimsVerified
    }
  }
`);

export type MeetingCard = ResultOf<typeof MeetingCardFields>;

interface MeetingListProps {
  meetings: readonly MeetingCard[];
  /** Name the city too, where the list spans several. */
  withCity?: boolean;
}

export function MeetingList({ meetings, withCity = false }: MeetingListProps) {
  return (
    <ol className="meeting-list">
      {meetings.map((meeting) => (
        <li key={meeting.id} className="meeting-card">
          <p className="meeting-card-date">
            <time dateTime={meeting.date}>{formatDay(meeting.date, 'short')}</time>
            <MeetingBadges meeting={meeting} />
          </p>
          <h3>
            <Link to={meetingPath(meeting.id)}>{meeting.title}</Link>
          </h3>
          <p className="fine">
            {withCity ? `${meeting.city.name} · ` : null}
            {meeting.body.name}
          </p>
          {meeting.summary ? (
            <p className="meeting-card-summary">{meeting.summary.shortSummary || HIDDEN_SUMMARY}</p>
          ) : (
            <p className="meeting-card-summary muted">{RUN_STATES[meeting.runState].meaning}</p>
          )}
        </li>
      ))}
    </ol>
  );
}

/** What sets a meeting apart from one that was held and summarized. */
export function MeetingBadges({ meeting }: { meeting: Pick<MeetingCard, 'status' | 'runState' | 'summary'> }) {
  const limited = meeting.summary?.verdict === 'LIMITED_CONFIDENCE';
  return (
    <>
      {meeting.status !== 'HELD' ? (
        <span className={`badge status-${meeting.status.toLowerCase()}`}>{MEETING_STATUSES[meeting.status]}</span>
      ) : null}
      {limited ? <span className="badge badge-caution">{RUN_STATES.LIMITED_CONFIDENCE.label}</span> : null}
      {!meeting.summary ? (
        <span className={`badge ${isUnderWay(meeting.runState) ? '' : 'badge-caution'}`}>
          {RUN_STATES[meeting.runState].label}
        </span>
      ) : null}
    </>
  );
}
