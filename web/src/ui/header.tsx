import { useState } from 'react';
import { Link, NavLink, useLocation } from 'react-router';
import { useToast } from '../live/toasts.tsx';
import { signInPath } from '../text/links.ts';
import { signOut } from '../viewer/sign-out.ts';
import { isOperator, useViewer } from '../viewer/viewer.tsx';

export function Header() {
  const { viewer, known } = useViewer();
  return (
    <header className="site-header">
      <div className="site-header-inner">
        <Link className="brand" to="/">
          <span className="brand-mark" aria-hidden="true" />
          CouncilSense
        </Link>
        <nav className="site-nav" aria-label="Main">
          <NavLink to="/meetings">Meetings</NavLink>
          <NavLink to="/search">Search</NavLink>
          {viewer ? (
            <NavLink to="/notifications">
              Notifications
              {viewer.unreadNotificationCount > 0 ? (
                <span className="unread-count">
                  {viewer.unreadNotificationCount > 99 ? '99+' : viewer.unreadNotificationCount}
                  <span className="visually-hidden"> unread</span>
                </span>
              ) : null}
            </NavLink>
          ) : null}
          {/* On a phone the name beside the sign-out button has no room; this takes its place. */}
          {viewer ? (
            <NavLink className="narrow-only" to="/profile">
              Profile
            </NavLink>
          ) : null}
          {isOperator(viewer) ? <NavLink to="/operations">Operations</NavLink> : null}
        </nav>
        <div className="site-account">{known ? <Account /> : null}</div>
      </div>
    </header>
  );
}

function Account() {
  const { viewer } = useViewer();
  const { pathname, search } = useLocation();
  const [busy, setBusy] = useState(false);
  const showToast = useToast();
  if (!viewer) {
    return (
      <a className="button button-primary" href={signInPath(pathname + search)}>
        Sign in
      </a>
    );
  }
  const leave = async () => {
    setBusy(true);
    const failure = await signOut();
    if (failure) {
      setBusy(false);
      showToast({ title: 'You are still signed in', body: `${failure.title}. ${failure.advice}` });
    }
  };
  return (
    <>
      <NavLink className="account-name" to="/profile">
        <span className="visually-hidden">Profile: </span>
        {viewer.displayName}
      </NavLink>
      <button type="button" className="button" disabled={busy} onClick={() => void leave()}>
        Sign out
      </button>
    </>
  );
}
