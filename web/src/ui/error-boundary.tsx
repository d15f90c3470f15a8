import { Component, type ReactNode } from 'react';

interface Props {
  /** A new value gives the children another chance. */
  resetKey: string;
  children: ReactNode;
}

/** Catches what should not happen (a part of the page that could not be fetched, a bug) and offers a way on. */
export class ErrorBoundary extends Component<Props, { failedAt: string | null }> {
  override state = { failedAt: null as string | null };

  static getDerivedStateFromProps(props: Props, state: { failedAt: string | null }) {
    return state.failedAt !== null && state.failedAt !== '' && state.failedAt !== props.resetKey
      ? { failedAt: null }
      : null;
  }

  static getDerivedStateFromError() {
    return { failedAt: '' };
  }

  override componentDidCatch() {
    this.setState({ failedAt: this.props.resetKey });
  }

  override render() {
    if (this.state.failedAt === null) return this.props.children;
    return (
      <div className="page">
        <h1>This page could not be shown</h1>
        <div className="notice notice-failed" role="alert">
          <p>A newer version may have been installed while the page was open. Load it again.</p>
          <button type="button" className="button" onClick={() => window.location.reload()}>
            Load again
          </button>
        </div>
      </div>
    );
  }
}
