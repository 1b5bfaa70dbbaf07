-- For a comparison: a table for what comes of its runs, and the part of a row by
-- a seed, as movielens_split.sql draws it.
CREATE FUNCTION movielens.part_of(user_id text, item_id text, seed bigint) RETURNS text LANGUAGE sql IMMUTABLE
AS $$
SELECT CASE WHEN part < 6 THEN 'train' WHEN part < 8 THEN 'valid' ELSE 'test' END
FROM (SELECT ((hashtextextended(concat(user_id, ':', item_id), seed) >> 8) & 1048575) % 10 AS part) AS drawn
$$;
CREATE TABLE movielens.result (domain text, backbone text, method text, seed bigint, auc float8, wauc float8, served text,
	seconds float8, phases text);
