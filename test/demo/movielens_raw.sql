-- Makes table movielens.raw with a text column for each name in a CSV header (-v header=...).
SELECT format('CREATE TABLE movielens.raw (%s)',
			  string_agg(format('%I text', lower(trim(CASE WHEN field LIKE '"%' THEN replace(substr(field, 2, length(field) - 2), '""', '"')
													  ELSE field END))), ', ' ORDER BY nr))
-- a field: quoted, in which "" is a quote, or plain; the comma put before the line makes each field begin with one
FROM regexp_matches(',' || :'header', ',("(?:[^"]|"")*"|[^,]*)', 'g') WITH ORDINALITY AS f(parts, nr),
	 LATERAL (SELECT parts[1] AS field) AS part
\gexec
