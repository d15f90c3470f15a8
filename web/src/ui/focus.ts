/**
 * What counts as another screen: another path, or another page of a list. Other parts of the address are filters, and
 * a reader who changes a filter stays where they are.
 */
export function screenOf({ pathname, search }: { pathname: string; search: string }): string {
  const params = new URLSearchParams(search);
  return [pathname, params.get('after') ?? '', params.get('before') ?? ''].join(' ');
}

/** A filter changed on a later page of a list starts the list over; the reader is still at the filter. */
export function isAtFilter(from: string, to: string): boolean {
  const samePath = from.split(' ')[0] === to.split(' ')[0];
  return samePath && document.activeElement?.matches('input, select') === true;
}

/**
 * Where the focus goes after a navigation. A page loaded by the browser begins at its top by itself; a route that
 * changes inside the page does not, so the new screen's heading is focused once it is there, unless the reader has
 * moved on in the meantime.
 */
let leaving: { from: Element | null } | null = null;

/** Called when the screen changes, with the element that had the focus then. */
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
