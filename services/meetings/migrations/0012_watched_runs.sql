-- Who watches a run is woken when it comes to another state.
CREATE TRIGGER wake AFTER UPDATE OF state ON runs FOR EACH STATEMENT EXECUTE FUNCTION wake();
