import { Link, useSearchParams } from 'react-router';
import { useMutation } from 'urql';
import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';
import { formatMoment } from '../text/dates.ts';
import { meetingPath } from '../text/links.ts';
import { humanize } from '../text/words.ts';
import { Page } from '../ui/page.tsx';
import { Pager } from '../ui/pager.tsx';
import { Empty, Failed, Loading, PartlyFailed } from '../ui/states.tsx';
import { ForViewer } from '../viewer/for-viewer.tsx';
import { Browsers } from './browsers.tsx';
import { Follows } from './follows.tsx';
import { MarkRead } from './mark-read.ts';
import { Preferences } from './preferences.tsx';
import { SavedSearches } from './saved-searches.tsx';
import { Webhooks } from './webhooks.tsx';

const InboxQuery = graphql(`
  query Inbox($after: String, $unreadOnly: Boolean) {
    notifications(first: 20, after: $after, unreadOnly: $unreadOnly) {
      unreadCount
      nodes {
        id
        type
        title
        body
        reason
        createdAt
        readAt
        meeting {
          id
        }
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
    }
  }
`);

type Item = ResultOf<typeof InboxQuery>['notifications']['nodes'][number];

export default function NotificationsPage() {
  return (
    <ForViewer
      title="Notifications"
      invitation="You are told once about each meeting that you follow, here and while a page is open."
    >
      {(viewer) => (
        <Page title="Notifications" width="wide">
          <div className="split">
            <Inbox hasHomeCity={viewer.homeCity !== null} />
            <aside aria-label="Settings">
              <Preferences preferences={viewer.notificationPreferences} />
              <Follows />
              <SavedSearches />
              <Browsers />
              <Webhooks />
            </aside>
          </div>
        </Page>
      )}
    </ForViewer>
  );
}

function Inbox({ hasHomeCity }: { hasHomeCity: boolean }) {
  const [params, setParams] = useSearchParams();
  const unreadOnly = params.get('show') === 'unread';
  const loaded = useLoaded(
    InboxQuery,
    { after: params.get('after'), unreadOnly },
    { keepPrevious: true, live: true, dependsOn: ['Notification'] },
  );
  const [marking, markRead] = useMutation(MarkRead);
  if (loaded.status === 'loading') return <Loading what="your notifications" lines={8} />;
  if (loaded.status === 'failed') return <Failed error={loaded.error} onRetry={loaded.refresh} />;
  const { nodes, pageInfo, unreadCount } = loaded.data.notifications;
  return (
    <section aria-labelledby="inbox" aria-busy={loaded.refreshing}>
      <h2 id="inbox">Inbox</h2>
      <div className="row inbox-tools">
        <label className="check">
          <input
            type="checkbox"
            checked={unreadOnly}
            onChange={(event) => setParams(event.target.checked ? { show: 'unread' } : {})}
          />
          <span>Unread only</span>
        </label>
        <button
          type="button"
          className="button"
          disabled={marking.fetching || unreadCount === 0}
          onClick={() => void markRead({ input: { all: true } })}
        >
          Mark all as read
        </button>
      </div>
      <PartlyFailed error={loaded.error ?? marking.error} />
      {nodes.length > 0 ? (
        <ol className="inbox">
          {nodes.map((item) => (
            <Notification key={item.id} item={item} onRead={() => void markRead({ input: { ids: [item.id] } })} />
          ))}
        </ol>
      ) : (
        <NothingHere unreadOnly={unreadOnly} hasHomeCity={hasHomeCity} />
      )}
      <Pager label="More notifications" pageInfo={pageInfo} forwardOnly words={{ previous: '', next: 'Older' }} />
    </section>
  );
}

function Notification({ item, onRead }: { item: Item; onRead: () => void }) {
  const unread = item.readAt === null;
  return (
    <li className={unread ? 'notification notification-unread' : 'notification'}>
      <h3>
        {unread ? <span className="visually-hidden">Unread: </span> : null}
        {item.meeting ? (
          <Link to={meetingPath(item.meeting.id)} onClick={unread ? onRead : undefined}>
            {item.title}
          </Link>
        ) : (
          item.title
        )}
      </h3>
      <p>{item.body}</p>
      <p className="fine">
        <time dateTime={item.createdAt}>{formatMoment(item.createdAt)}</time>
        {item.reason ? ` · ${humanize(item.reason)}` : null}
      </p>
      {unread ? (
        <button type="button" className="button-quiet" onClick={onRead}>
          Mark as read<span className="visually-hidden">: {item.title}</span>
        </button>
      ) : null}
    </li>
  );
}

function NothingHere({ unreadOnly, hasHomeCity }: { unreadOnly: boolean; hasHomeCity: boolean }) {
  if (unreadOnly) return <Empty title="Nothing unread" />;
  return (
    <Empty title="Nothing yet">
      {hasHomeCity ? (
        <p>You will hear of the next meeting of your home city as soon as its summary is published.</p>
      ) : (
        <p>
          <Link to="/cities">Choose a home city</Link> to hear of what its council decides.
        </p>
      )}
    </Empty>
  );
}
