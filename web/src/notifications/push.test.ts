import { expect, test } from 'vitest';
import { keysOf, nameOfBrowser } from './push.ts';

test('a browser is named by itself and its system', () => {
  const chrome = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36';
  expect(nameOfBrowser(chrome)).toBe('Chrome on Linux');
  expect(nameOfBrowser(`${chrome} Edg/156.0`)).toBe('Edge on Linux');
  expect(nameOfBrowser('Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0')).toBe(
    'Firefox on Android',
  );
  expect(nameOfBrowser('')).toBe('A browser');
});

test('a subscription without keys is none', () => {
  expect(keysOf({ endpoint: 'https://push.example/1', keys: { p256dh: 'a', auth: 'b' } })).toEqual({
    endpoint: 'https://push.example/1',
    p256dh: 'a',
    auth: 'b',
  });
  expect(() => keysOf({ endpoint: 'https://push.example/1' })).toThrow('no usable subscription');
});
