import type { ReactNode } from 'react';
import { useLocation } from 'react-router';
import { signInPath } from '../text/links.ts';
import { Page } from '../ui/page.tsx';
import { Failed, Loading } from '../ui/states.tsx';
import { useViewer, type Viewer } from './viewer.tsx';

interface ForViewerProps {
  title: string;
  /** Said to somebody who is not signed in: what they would find here. */
  invitation: string;
  children: (viewer: Viewer) => ReactNode;
}

/** A screen that belongs to an account. A failure to learn who is there is not taken for being signed out. */
export function ForViewer({ title, invitation, children }: ForViewerProps) {
  const { viewer, known, error, refresh } = useViewer();
  const { pathname, search } = useLocation();
  if (viewer) return children(viewer);
  if (error) {
    return (
      <Page title={title}>
        <Failed error={error} onRetry={refresh} />
      </Page>
    );
  }
  if (!known) return <Loading what="your account" />;
  return (
    <Page title={title}>
      <p>{invitation}</p>
      <p>
        <a className="button button-primary" href={signInPath(pathname + search)}>
          Sign in
        </a>
      </p>
    </Page>
  );
}
