-- Makes table raw of a schema (-v schema=...) with a text column for each name in
-- a CSV header (-v header=...).  Some programs leave the name of row numbers empty.
SELECT format('CREATE TABLE %I.raw (%s)', :'schema',
			  string_agg(format('%I text', coalesce(nullif(lower(trim(name)), ''), 'column ' || nr)), ', ' ORDER BY nr))
-- a field: quoted, in which "" is a quote, or plain; the comma put before the line makes each field begin with one
FROM regexp_matches(',' || :'header', ',("(?:[^"]|"")*"|[^,]*)', 'g') WITH ORDINALITY AS f(parts, nr),
	 LATERAL (SELECT parts[1] AS field) AS part,
	 LATERAL (SELECT CASE WHEN field LIKE '"%' THEN replace(substr(field, 2, length(field) - 2), '""', '"') ELSE field END AS name) AS named
\gexec
