import { useEffect, useState, type ReactNode } from 'react';
import { useMutation, useSubscription } from 'urql';
import { graphql } from '../graphql/graphql.ts';
import { socket } from '../graphql/socket.ts';
import { MarkRead } from '../notifications/mark-read.ts';
import { meetingPath } from '../text/links.ts';
import { useViewer } from '../viewer/viewer.tsx';
import { PublishedTick } from './published-tick.ts';
import { useToast } from './toasts.tsx';

const MeetingPublished = graphql(`
  subscription MeetingPublished {
    meetingPublished {
      version
      meeting {
        id
      }
    }
  }
`);

const NotificationReceived = graphql(`
  subscription NotificationReceived {
    notificationReceived {
      id
      title
      body
      meeting {
        id
      }
    }
  }
`);

/** Listens while the page is open: publications make lists fresh, notifications are shown as they come. */
export function LiveUpdates({ children }: { children: ReactNode }) {
  const [tick, setTick] = useState(0);
  const [announced, setAnnounced] = useState<string | null>(null);
  const { viewer, refresh } = useViewer();
  const showToast = useToast();
  const [, markRead] = useMutation(MarkRead);

  const [publication] = useSubscription({ query: MeetingPublished });
  const published = publication.data?.meetingPublished;
  const publishedKey = published ? `${published.meeting.id}:${published.version}` : null;
  useEffect(() => {
    if (publishedKey) setTick((count) => count + 1);
  }, [publishedKey]);

  const [delivery] = useSubscription({ query: NotificationReceived, pause: viewer === null });
  const received = delivery.data?.notificationReceived;
  useEffect(() => {
    if (!received || received.id === announced) return;
    setAnnounced(received.id);
    showToast({
      title: received.title,
      body: received.body,
      to: received.meeting ? meetingPath(received.meeting.id) : '/notifications',
      onOpen: () => void markRead({ input: { ids: [received.id] } }),
    });
    setTick((count) => count + 1);
    refresh();
  }, [received, announced, showToast, refresh, markRead]);

  // What was published while the connection was down is caught up with when it is back.
  useEffect(() => {
    let interrupted = false;
    const stopClosed = socket.on('closed', () => {
      interrupted = true;
    });
    const stopConnected = socket.on('connected', () => {
      if (!interrupted) return;
      interrupted = false;
      setTick((count) => count + 1);
      refresh();
    });
    return () => {
      stopClosed();
      stopConnected();
    };
  }, [refresh]);

  return <PublishedTick value={tick}>{children}</PublishedTick>;
}
