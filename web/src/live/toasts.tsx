import { createContext, useCallback, useContext, useRef, useState, type ReactNode } from 'react';
import { Link } from 'react-router';

export interface Toast {
  readonly title: string;
  readonly body?: string;
  /** Where it leads, when it leads somewhere. */
  readonly to?: string;
  /** It only confirms what the page shows anyway, so it goes away by itself. */
  readonly passing?: boolean;
  /** Called when the reader follows it. */
  readonly onOpen?: () => void;
}

const ShowToast = createContext<(toast: Toast) => void>(() => undefined);

/** How long a passing message stays, milliseconds. */
const PASSES_AFTER = 8_000;

/** How many are shown at once; older ones make room (they stay in the inbox). */
const SHOWN = 3;

export function useToast(): (toast: Toast) => void {
  return useContext(ShowToast);
}

/**
 * Short messages in a corner. Those that tell something new stay until dismissed: a message that vanishes by itself is
 * lost to whoever reads slowly. The live region is there from the start, or screen readers would not announce what is put into it.
 */
export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly (Toast & { key: number })[]>([]);
  const nextKey = useRef(0);
  const dismiss = useCallback((key: number) => setToasts((shown) => shown.filter((each) => each.key !== key)), []);
  const show = useCallback(
    (toast: Toast) => {
      nextKey.current += 1;
      const key = nextKey.current;
      setToasts((shown) => [...shown.slice(1 - SHOWN), { ...toast, key }]);
      if (toast.passing) setTimeout(() => dismiss(key), PASSES_AFTER);
    },
    [dismiss],
  );

  return (
    <ShowToast value={show}>
      {children}
      <section className="toasts" aria-label="Messages" aria-live="polite" aria-relevant="additions">
        {toasts.map((toast) => (
          <div className="toast" key={toast.key}>
            <div className="toast-text">
              <p className="toast-title">
                {toast.to ? (
                  <Link
                    to={toast.to}
                    onClick={() => {
                      toast.onOpen?.();
                      dismiss(toast.key);
                    }}
                  >
                    {toast.title}
                  </Link>
                ) : (
                  toast.title
                )}
              </p>
              {toast.body ? <p className="toast-body">{toast.body}</p> : null}
            </div>
            <button type="button" className="button-quiet" onClick={() => dismiss(toast.key)}>
              <span aria-hidden="true">✕</span>
              <span className="visually-hidden">Dismiss: {toast.title}</span>
            </button>
          </div>
        ))}
      </section>
    </ShowToast>
  );
}
