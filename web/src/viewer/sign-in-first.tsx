import type { ReactNode } from 'react';
import { useLocation } from 'react-router';
import { signInPath } from '../text/links.ts';
import { Page } from '../ui/page.tsx';

/** A screen that belongs to an account, for somebody without one at hand. */
export function SignInFirst({ title, children }: { title: string; children?: ReactNode }) {
  const { pathname, search } = useLocation();
  return (
    <Page title={title}>
      {children}
      <p>
        <a className="button button-primary" href={signInPath(pathname + search)}>
          Sign in
        </a>
      </p>
    </Page>
  );
}
