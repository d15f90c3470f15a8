/**
 * Where the focus goes after a navigation. A page loaded by the browser begins at its top by itself; a route that
 * changes inside the page does not, so the new screen's heading is focused once it is there, unless the reader has
 * moved on in the meantime.
 */
let leaving: { from: Element | null } | null = null;

/** Called when the route changes, with the element that had the focus then. */
export function beginNavigation(): void {
  leaving = { from: document.activeElement };
}

/** Called by each screen when its heading appears. */
export function takeFocus(heading: HTMLElement): void {
  if (!leaving) return;
  const { from } = leaving;
  leaving = null;
  const active = document.activeElement;
  if (active === null || active === document.body || active === from) heading.focus({ preventScroll: true });
}
