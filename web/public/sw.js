// Shows what is pushed while no page is open. It keeps nothing and answers no requests: pages load as they do without it.

self.addEventListener('push', (event) => {
  const told = read(event.data);
  event.waitUntil(
    self.registration.showNotification(told.title, {
      body: [told.body, told.reason].filter(Boolean).join('\n'),
      // A repeat takes the place of what it repeats.
      tag: told.tag,
      data: { url: told.url, stop: told.stop },
      actions: told.stop ? [{ action: 'stop', title: 'Stop these' }] : [],
    }),
  );
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const { url, stop } = event.notification.data;
  const wanted = event.action === 'stop' ? stop : url;
  if (wanted) event.waitUntil(open(wanted));
});

/** A page that shows it already is brought to the front. */
async function open(url) {
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const page = pages.find((each) => each.url === url);
  return page ? page.focus() : self.clients.openWindow(url);
}

function read(data) {
  const nothing = { title: 'Something you follow was published', url: new URL('/notifications', self.location).href };
  try {
    const told = data.json();
    return { ...nothing, ...told, url: local(told.url) ?? nothing.url, stop: local(told.stop) };
  } catch {
    return nothing;
  }
}

/** Only addresses of this site are opened. */
function local(url) {
  return typeof url === 'string' && URL.canParse(url) && new URL(url).origin === self.location.origin ? url : null;
}
