// The service worker in a real browser: a push is delivered to it as a push service would, it shows a notification, and a
// click leads to what it tells of.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { baseUrl, launch, openPage, PATIENCE, visit } from './support/browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('a push is shown, and a click on it leads to the meeting', async (t) => {
  const page = await openPage(browser);
  const context = page.context();
  await context.grantPermissions(['notifications'], { origin: baseUrl });
  await visit(page, '/');
  const session = await context.newCDPSession(page);
  const registered = new Promise((resolve) => {
    session.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const found = registrations.find(({ scopeURL, isDeleted }) => scopeURL === `${baseUrl}/` && !isDeleted);
      if (found) resolve(found.registrationId);
    });
  });
  await session.send('ServiceWorker.enable');
  const worker = context.waitForEvent('serviceworker', { timeout: PATIENCE });
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js');
    await navigator.serviceWorker.ready;
  });
  const registrationId = await registered;
  const inside = await worker;
  await inside.evaluate(() => {
    self.shown = 0;
    const show = self.registration.showNotification.bind(self.registration);
    self.registration.showNotification = async (...told) => {
      await show(...told);
      self.shown += 1;
    };
  });
  // Chromium forgets a notification that is listed while it is on its way to the screen: between its list and what it shows
  // it takes the screen's word. So nothing is listed before it is there.
  const deliver = async (data) => {
    const before = await inside.evaluate(() => self.shown);
    await session.send('ServiceWorker.deliverPushMessage', { origin: baseUrl, registrationId, data });
    await until(async () => (await inside.evaluate(() => self.shown)) > before);
  };

  const told = {
    title: 'City Council: Regular Meeting (2023-03-09)',
    body: 'The council adopted the budget.',
    reason: 'You follow New Orleans',
    url: `${baseUrl}/meetings/abc`,
    stop: `${baseUrl}/unsubscribe?token=t`,
    tag: 'one',
  };

  await t.test('it is shown with what it says and why', async () => {
    await deliver(JSON.stringify(told));
    const [shown] = await notifications(page, 1);
    assert.deepEqual(shown, {
      title: told.title,
      body: `${told.body}\n${told.reason}`,
      tag: 'one',
      data: { url: told.url, stop: told.stop },
      actions: ['stop'],
    });
  });

  await t.test('a repeat takes its place', async () => {
    await deliver(JSON.stringify({ ...told, body: 'Again.' }));
    await until(async () => (await notifications(page, 1))[0].body.startsWith('Again.'));
  });

  await t.test('a click leads to the meeting, and “stop these” to where they are stopped', async () => {
    assert.equal(await clicked(inside, 'one', ''), told.url);
    await deliver(JSON.stringify(told));
    await notifications(page, 1);
    assert.equal(await clicked(inside, 'one', 'stop'), told.stop);
    assert.deepEqual(await notifications(page, 0), [], 'what was clicked is gone');
  });

  await t.test('nothing leads to another site, and what cannot be read is told of all the same', async () => {
    await deliver(
      JSON.stringify({ ...told, tag: 'two', url: 'https://elsewhere.example/', stop: 'javascript:alert(1)' }),
    );
    await notifications(page, 1);
    assert.equal(await clicked(inside, 'two', ''), `${baseUrl}/notifications`);
    await deliver('no json');
    const [shown] = await notifications(page, 1);
    assert.equal(shown.title, 'Something you follow was published');
    assert.equal(shown.data.url, `${baseUrl}/notifications`);
  });

  assert.deepEqual(page.complaints, []);
  await context.close();
});

async function until(holds) {
  const deadline = Date.now() + PATIENCE;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not within ${PATIENCE} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What is shown, when it is as many as that. */
async function notifications(page, count) {
  const shown = () =>
    page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      const all = await registration.getNotifications();
      return all.map(({ title, body, tag, data, actions }) => ({
        title,
        body,
        tag,
        data,
        actions: actions.map(({ action }) => action),
      }));
    });
  await until(async () => (await shown()).length === count);
  return shown();
}

/** Clicks a notification by its tag, or one of its buttons; gives the address that is opened. */
function clicked(worker, tag, action) {
  return worker.evaluate(
    async ([of, button]) => {
      const [notification] = await self.registration.getNotifications({ tag: of });
      return new Promise((resolve) => {
        // A browser opens windows for real clicks alone.
        self.clients.openWindow = (url) => {
          resolve(url);
          return Promise.resolve(null);
        };
        self.dispatchEvent(new NotificationEvent('notificationclick', { notification, action: button }));
      });
    },
    [tag, action],
  );
}
