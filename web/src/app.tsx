import { lazy, Suspense, useEffect, useRef } from 'react';
import { Route, Routes, useLocation, useNavigationType } from 'react-router';
import HomePage from './home/home-page.tsx';
import { LiveUpdates } from './live/live-updates.tsx';
import { ToastProvider } from './live/toasts.tsx';
import { ErrorBoundary } from './ui/error-boundary.tsx';
import { beginNavigation, isAtFilter, screenOf } from './ui/focus.ts';
import { Header } from './ui/header.tsx';
import { NotFound } from './ui/not-found.tsx';
import { Loading } from './ui/states.tsx';
import { ViewerProvider } from './viewer/viewer.tsx';

const CitiesPage = lazy(() => import('./cities/cities-page.tsx'));
const CityPage = lazy(() => import('./cities/city-page.tsx'));
const MeetingsPage = lazy(() => import('./meetings/meetings-page.tsx'));
const MeetingPage = lazy(() => import('./meetings/meeting-page.tsx'));
const EvidencePage = lazy(() => import('./evidence/evidence-page.tsx'));
const SearchPage = lazy(() => import('./search/search-page.tsx'));
const NotificationsPage = lazy(() => import('./notifications/notifications-page.tsx'));
const ProfilePage = lazy(() => import('./profile/profile-page.tsx'));
const OperationsPage = lazy(() => import('./operations/operations-page.tsx'));

export function App() {
  return (
    <ToastProvider>
      <ViewerProvider>
        <LiveUpdates>
          <a className="skip-link" href="#main">
            Skip to the content
          </a>
          <Header />
          <Screens />
          <footer className="site-footer">
            <p>Summaries are made from public documents. The documents are what counts: open them.</p>
          </footer>
        </LiveUpdates>
      </ViewerProvider>
    </ToastProvider>
  );
}

function Screens() {
  const location = useLocation();
  useNavigation(screenOf(location));
  return (
    <main id="main" tabIndex={-1}>
      <ErrorBoundary resetKey={location.pathname}>
        <Suspense fallback={<Loading what="the page" lines={10} />}>
          <Routes>
            <Route path="/" element={<HomePage />} />
            <Route path="/cities" element={<CitiesPage />} />
            <Route path="/cities/:slug" element={<CityPage />} />
            <Route path="/meetings" element={<MeetingsPage />} />
            <Route path="/meetings/:id" element={<MeetingPage />} />
            <Route path="/meetings/:id/evidence" element={<EvidencePage />} />
            <Route path="/search" element={<SearchPage />} />
            <Route path="/notifications" element={<NotificationsPage />} />
            <Route path="/profile" element={<ProfilePage />} />
            <Route path="/operations" element={<OperationsPage />} />
            <Route path="*" element={<NotFound />} />
          </Routes>
        </Suspense>
      </ErrorBoundary>
    </main>
  );
}

/** A followed link begins at the top with the focus on the new heading; going back is left to the browser. */
function useNavigation(screen: string): void {
  const how = useNavigationType();
  const shown = useRef(screen);
  const toTop = useRef(false);
  // Before the new screen's own effects run, so that its heading finds the navigation begun.
  if (shown.current !== screen) {
    if (!isAtFilter(shown.current, screen)) {
      beginNavigation();
      toTop.current = how === 'PUSH';
    }
    shown.current = screen;
  }
  useEffect(() => {
    if (!toTop.current) return;
    toTop.current = false;
    window.scrollTo({ top: 0, behavior: 'instant' });
  }, [screen]);
}
