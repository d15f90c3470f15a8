import { useEffect, useRef, type ReactNode } from 'react';
import { useLocation } from 'react-router';
import { screenOf, takeFocus } from './focus.ts';

interface PageProps {
  /** The page's name, in the tab and the history. */
  title: string;
  /** The visible heading, where it is not the title. */
  heading?: ReactNode;
  /** A line above the heading: where in the site this is. */
  eyebrow?: ReactNode;
  /** What stands right under the heading. */
  lead?: ReactNode;
  /** `wide` uses the whole frame; the default is a column to read in. */
  width?: 'reading' | 'wide';
  children: ReactNode;
}

/** A screen: names the tab, draws the one `h1` and moves the focus to it after a navigation. */
export function Page({ title, heading, eyebrow, lead, width = 'reading', children }: PageProps) {
  const headingRef = useRef<HTMLHeadingElement>(null);
  const screen = screenOf(useLocation());

  useEffect(() => {
    document.title = title === 'CouncilSense' ? title : `${title} · CouncilSense`;
  }, [title]);

  useEffect(() => {
    if (headingRef.current) takeFocus(headingRef.current);
  }, [screen]);

  return (
    <div className={`page page-${width}`}>
      <header className="page-header">
        {eyebrow ? <p className="eyebrow">{eyebrow}</p> : null}
        <h1 ref={headingRef} tabIndex={-1}>
          {heading ?? title}
        </h1>
        {lead ? <div className="lead">{lead}</div> : null}
      </header>
      {children}
    </div>
  );
}
