import { describe, expect, it } from 'vitest';
import { documentHref, isSameSpan, localPath, meetingPath, overlaps, signInPath, spanOfSearch } from './links.ts';

describe('links', () => {
  it('escapes opaque ids and return paths', () => {
    expect(meetingPath('TWVl/dA==')).toBe('/meetings/TWVl%2FdA%3D%3D');
    expect(signInPath('/search?q=a&b=c')).toBe('/auth/login?return_to=%2Fsearch%3Fq%3Da%26b%3Dc');
  });

  it('opens a document at its page only when it has one', () => {
    expect(documentHref('/artifacts/1', 12)).toBe('/artifacts/1#page=12');
    expect(documentHref('/artifacts/1', null)).toBe('/artifacts/1');
  });

  it('follows only links of this origin inside the page', () => {
    expect(localPath('/meetings/1?x=1#p', 'https://council.test')).toBe('/meetings/1?x=1#p');
    expect(localPath('https://council.test/meetings/1', 'https://council.test')).toBe('/meetings/1');
    expect(localPath('https://elsewhere.test/meetings/1', 'https://council.test')).toBeNull();
    expect(localPath('//elsewhere.test/x', 'https://council.test')).toBeNull();
    expect(localPath('javascript:alert(1)', 'https://council.test')).toBeNull();
  });
});

describe('the span of a permanent link', () => {
  const address = { artifact: 'a1', start: 10, end: 20 };

  it('is read from the query and compared by value', () => {
    expect(spanOfSearch(new URLSearchParams('artifact=a1&start=10&end=20'))).toEqual(address);
    expect(isSameSpan('/meetings/m/evidence?end=20&artifact=a1&start=10', address)).toBe(true);
    expect(isSameSpan('/meetings/m/evidence?artifact=a1&start=10&end=21', address)).toBe(false);
    expect(isSameSpan('/meetings/m', address)).toBe(false);
  });

  it('overlaps what shares a code point with it, half-open', () => {
    const evidence = (start: number, end: number, artifact = 'a1') =>
      `/meetings/m/evidence?artifact=${artifact}&start=${start}&end=${end}`;
    expect(overlaps(evidence(19, 30), address)).toBe(true);
    expect(overlaps(evidence(0, 100), address)).toBe(true);
    expect(overlaps(evidence(20, 30), address)).toBe(false);
    expect(overlaps(evidence(0, 10), address)).toBe(false);
    expect(overlaps(evidence(10, 20, 'a2'), address)).toBe(false);
  });

  it.each([
    '',
    'artifact=a1',
    'artifact=a1&start=-1&end=4',
    'artifact=a1&start=9&end=9',
    'artifact=a1&start=1e1&end=99',
  ])('is refused when it is not one: %s', (query) => expect(spanOfSearch(new URLSearchParams(query))).toBeNull());
});
