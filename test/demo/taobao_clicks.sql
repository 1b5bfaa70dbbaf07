-- Makes taobao.themes and taobao.clicks from taobao.raw and the lines of the
-- embeddings.  Variables: themes (how many), seed.
SET client_min_messages = warning;

-- All random numbers are hashes of what they are for and the seed: neither the
-- order of the lines nor a plan can change them.
CREATE FUNCTION taobao.hash(what text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashtextextended(what, :seed) >> 12) & 1099511627775;

-- Clicks of users and on items that have an embedding; the same one again counts once.
-- A header among the embeddings' lines does no harm: no click is of a user "user_id".
CREATE TABLE taobao.known AS
SELECT theme, user_id, item_id, count(*) AS times
FROM (SELECT trim(theme_id) AS theme, trim(user_id) AS user_id, trim(item_id) AS item_id FROM taobao.raw) AS click
WHERE theme <> ''
  AND user_id IN (SELECT trim(id) FROM taobao.user_line)
  AND item_id IN (SELECT trim(id) FROM taobao.item_line)
GROUP BY theme, user_id, item_id;
ANALYZE taobao.known;

SELECT format('%s of %s clicks are of users or items without an embedding and left out.', lines - kept, lines)
FROM (SELECT count(*) AS lines FROM taobao.raw) AS l, (SELECT coalesce(sum(times), 0) AS kept FROM taobao.known) AS k
WHERE lines > kept
\g (format=unaligned tuples_only=on)

-- The first themes: as numbers where they are.  Prime is the first prime number
-- that is not below the number of items; there is always one within 400.
CREATE TABLE taobao.themes AS
SELECT row_number() OVER by_id AS nr, theme, items, users, clicks,
	   0.2 + 0.3 * taobao.hash('q of ' || theme) / 1099511627776 AS q,
	   (SELECT min(n) FROM generate_series(greatest(items, 2), items + 400) AS n
		WHERE NOT EXISTS (SELECT FROM generate_series(2, sqrt(n)::bigint) AS d WHERE n % d = 0)) AS prime
FROM (SELECT theme, count(DISTINCT item_id) AS items, count(DISTINCT user_id) AS users, count(*) AS clicks
	  FROM taobao.known GROUP BY theme) AS t
WINDOW by_id AS (ORDER BY CASE WHEN theme ~ '^\d{1,18}$' THEN theme::bigint END, theme COLLATE "C")
ORDER BY nr LIMIT :themes;

CREATE TABLE taobao.clicks AS
SELECT theme, user_id, item_id FROM taobao.known WHERE theme IN (SELECT theme FROM taobao.themes);
ANALYZE taobao.themes, taobao.clicks;

SELECT format('The first %s of %s themes by theme_id.', (SELECT count(*) FROM taobao.themes), (SELECT count(DISTINCT theme) FROM taobao.known))
\g (format=unaligned tuples_only=on)
DROP TABLE taobao.raw, taobao.known;
