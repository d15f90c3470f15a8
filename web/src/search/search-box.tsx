import { useEffect, useState, type FormEvent } from 'react';
import { useNavigate } from 'react-router';

interface SearchBoxProps {
  label: string;
  /** Search in this city only. */
  cityId?: string;
  /** What has been searched for, on the page of its results. */
  value?: string;
  /** Called instead of going to the search page. */
  onSearch?: (query: string) => void;
}

export function SearchBox({ label, cityId, value = '', onSearch }: SearchBoxProps) {
  const [query, setQuery] = useState(value);
  const navigate = useNavigate();
  useEffect(() => setQuery(value), [value]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const asked = query.trim();
    if (onSearch) {
      onSearch(asked);
      return;
    }
    const params = new URLSearchParams({ q: asked });
    if (cityId) params.append('city', cityId);
    void navigate(`/search?${params}`);
  };
  return (
    <form className="search-box" role="search" onSubmit={submit}>
      <label>
        <span>{label}</span>
        <input
          type="search"
          name="q"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          autoComplete="off"
          enterKeyHint="search"
          placeholder="short-term rentals, Cal. No. 33,977, drainage…"
        />
      </label>
      <button type="submit" className="button button-primary">
        Search
      </button>
    </form>
  );
}
