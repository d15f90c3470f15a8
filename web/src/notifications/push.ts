/** What the server needs to reach a browser. */
export interface PushKeys {
  readonly endpoint: string;
  readonly p256dh: string;
  readonly auth: string;
}

/** Asks the reader, and the browser's push service, for a subscription under the server's key. */
export async function subscribe(publicKey: string): Promise<PushSubscriptionJSON> {
  if ((await Notification.requestPermission()) !== 'granted') {
    throw new Error('This browser may not show notifications from here: allow them in its settings for this page.');
  }
  const registration = await navigator.serviceWorker.register('/sw.js');
  await navigator.serviceWorker.ready;
  const subscription = await registration.pushManager.subscribe({
    userVisibleOnly: true,
    applicationServerKey: publicKey,
  });
  return subscription.toJSON();
}

export function keysOf({ endpoint, keys }: PushSubscriptionJSON): PushKeys {
  const p256dh = keys?.['p256dh'];
  const auth = keys?.['auth'];
  if (!endpoint || !p256dh || !auth) throw new Error('This browser gave no usable subscription.');
  return { endpoint, p256dh, auth };
}

const BROWSERS = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Safari'] as const;
const SYSTEMS = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'CrOS', 'Linux'] as const;
const NAMES: Record<string, string> = { Edg: 'Edge', OPR: 'Opera', 'Mac OS': 'macOS', CrOS: 'ChromeOS' };

/** Enough of a browser's name to tell it from the reader's others, and no more. */
export function nameOfBrowser(userAgent: string): string {
  const found = (names: readonly string[]) => names.find((name) => userAgent.includes(name));
  const browser = found(BROWSERS);
  const system = found(SYSTEMS);
  const name = browser ? (NAMES[browser] ?? browser) : 'A browser';
  return system ? `${name} on ${NAMES[system] ?? system}` : name;
}
