import { createContext, useContext, useMemo, type ReactNode } from 'react';
import type { CombinedError } from 'urql';
import { graphql, type ResultOf } from '../graphql/graphql.ts';
import { useLoaded } from '../graphql/use-loaded.ts';

const ViewerQuery = graphql(`
  query Viewer {
    viewer {
      id
      displayName
      email
      roles
      unreadNotificationCount
      homeCity {
        id
        slug
        name
      }
      notificationPreferences {
        enabled
        pauseUntil
        channels
        availableChannels
        timeZone
        quietHours {
          from
          until
        }
        digest
        digestHour
        changedSummaries
      }
    }
  }
`);

export type Viewer = NonNullable<ResultOf<typeof ViewerQuery>['viewer']>;

interface ViewerState {
  /** Who is signed in; null is an anonymous reader, or not known yet. */
  readonly viewer: Viewer | null;
  /** False until the server has said who is there. */
  readonly known: boolean;
  /** The server could not say who is there: neither signed in nor out. */
  readonly error: CombinedError | null;
  readonly refresh: () => void;
}

const ViewerContext = createContext<ViewerState>({ viewer: null, known: false, error: null, refresh: () => undefined });

export function useViewer(): ViewerState {
  return useContext(ViewerContext);
}

const nothing = () => undefined;

export function ViewerProvider({ children }: { children: ReactNode }) {
  const loaded = useLoaded(ViewerQuery, {}, { dependsOn: ['Viewer', 'Notification'] });
  const viewer = loaded.status === 'ready' ? loaded.data.viewer : null;
  const known = loaded.status === 'ready';
  const error = loaded.status === 'failed' ? loaded.error : null;
  const refresh = loaded.status === 'loading' ? nothing : loaded.refresh;
  const state = useMemo(() => ({ viewer, known, error, refresh }), [viewer, known, error, refresh]);
  return <ViewerContext value={state}>{children}</ViewerContext>;
}

/** Runs and sources are for operators; owners may do all that they may. */
export function isOperator(viewer: Viewer | null): boolean {
  return viewer?.roles.some((role) => role === 'OPERATOR' || role === 'OWNER') ?? false;
}
