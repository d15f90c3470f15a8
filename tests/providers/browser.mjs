// A browser as far as signing in needs one: cookies by origin and path, forms, redirects that are looked at one by one.

export class Browser {
  #cookies = new Map();

  #header(url) {
    return [...this.#cookies.values()]
      .filter((cookie) => cookie.origin === url.origin && url.pathname.startsWith(cookie.path))
      .map((cookie) => `${cookie.name}=${cookie.value}`)
      .join('; ');
  }

  async send(address, options = {}) {
    const url = new URL(address);
    const cookie = this.#header(url);
    const headers = { ...(cookie && { cookie }), ...options.headers };
    const response = await fetch(url, { ...options, headers, redirect: 'manual' });
    for (const text of response.headers.getSetCookie()) {
      const [pair, ...attributes] = text.split(';').map((part) => part.trim());
      const at = pair.indexOf('=');
      const attribute = (name) =>
        attributes.find((part) => part.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
      const path = attribute('path') ?? '/';
      const key = `${url.origin} ${path} ${pair.slice(0, at)}`;
      const over = attribute('max-age') === '0' || new Date(attribute('expires') ?? '9999').getTime() < Date.now();
      if (over) this.#cookies.delete(key);
      else this.#cookies.set(key, { origin: url.origin, path, name: pair.slice(0, at), value: pair.slice(at + 1) });
    }
    return response;
  }

  cookie(origin, name) {
    return [...this.#cookies.values()].find((cookie) => cookie.origin === origin && cookie.name === name);
  }

  /** Follows redirects and fills in forms until `done(url)`, or a page without a form; without fields, or the first one. */
  async walk(address, fields, done) {
    let [url, options] = [address, {}];
    for (let step = 0; step < 25; step += 1) {
      if (done(url)) return { url };
      const response = await this.send(url, options);
      options = {};
      const location = response.headers.get('location');
      if (location) {
        url = new URL(location, url).href;
        continue;
      }
      const html = await response.text();
      const form = formOf(html, url);
      if (!form) return { url, status: response.status, html };
      if (!fields) return { url, form };
      for (const name of Object.keys(form.data)) if (name in fields) form.data[name] = fields[name];
      url = form.action;
      options = { method: 'POST', body: new URLSearchParams(form.data) };
    }
    throw new Error(`too many steps, at last ${url}`);
  }
}

const plain = (text) => text.replace(/&amp;/g, '&').replace(/&#x2F;/gi, '/').replace(/&quot;/g, '"');
const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\b${name}="([^"]*)"`, 'i'));
  return found ? plain(found[1]) : undefined;
};

function formOf(html, base) {
  const form = html.match(/<form[^>]*>[\s\S]*?<\/form>/i)?.[0];
  if (!form) return undefined;
  const id = attribute(form.match(/<form[^>]*>/i)[0], 'id');
  const outside = (html.match(/<(?:input|button)[^>]*>/gi) ?? []).filter((tag) => id && attribute(tag, 'form') === id);
  const data = {};
  for (const tag of [...(form.match(/<(?:input|button)[^>]*>/gi) ?? []), ...outside]) {
    const name = attribute(tag, 'name');
    if (name && name !== 'cancel' && name !== 'rememberMe') data[name] = attribute(tag, 'value') ?? '';
  }
  return { action: new URL(attribute(form.match(/<form[^>]*>/i)[0], 'action') ?? base, base).href, data };
}
