import { Link } from 'react-router';
import { graphql } from '../graphql/graphql.ts';
import { MeetingCardFields, MeetingList, type MeetingCard } from '../meetings/meeting-list.tsx';
import { Empty } from '../ui/states.tsx';
import { CityFields } from './city-choice.tsx';

export const CityQuery = graphql(
  `
    query CityPage($slug: String!) {
      city(slug: $slug) {
        ...CityFields
        meetings(order: DATE_DESC, first: 8) {
          nodes {
            ...MeetingCardFields
          }
          pageInfo {
            hasNextPage
          }
        }
      }
    }
  `,
  [CityFields, MeetingCardFields],
);

interface RecentMeetingsProps {
  meetings: readonly MeetingCard[];
  hasMore: boolean;
  allPath: string;
}

export function RecentMeetings({ meetings, hasMore, allPath }: RecentMeetingsProps) {
  return (
    <section aria-labelledby="recent-meetings">
      <h2 id="recent-meetings">Recent meetings</h2>
      {meetings.length > 0 ? (
        <MeetingList meetings={meetings} />
      ) : (
        <Empty title="No meeting yet">
          <p>They appear here once this city’s documents have been read.</p>
        </Empty>
      )}
      {hasMore ? (
        <p>
          <Link className="button" to={allPath}>
            All meetings
          </Link>
        </p>
      ) : null}
    </section>
  );
}
