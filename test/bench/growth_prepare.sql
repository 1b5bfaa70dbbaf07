-- Schema bench for growth.sh.
\ir schema.sql

-- A whole number from 0.
CREATE FUNCTION bench.draw(purpose int, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN hashint8extended(n, purpose) & 4503599627370495;

-- Seconds of this session's processor time; of the clock where the system does not tell.
CREATE FUNCTION bench.clock() RETURNS float8
LANGUAGE plpgsql AS $$
BEGIN
	RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1e9;
EXCEPTION WHEN undefined_file THEN
	RETURN extract(epoch FROM clock_timestamp());
END $$;

-- The most memory that this session's process has had in use, in MB; NULL where the system does not tell.
CREATE FUNCTION bench.peak() RETURNS numeric
LANGUAGE plpgsql AS $$
BEGIN
	RETURN round((regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1]::numeric / 1024);
EXCEPTION WHEN undefined_file THEN
	RETURN NULL;
END $$;

-- took, bytes in MB: what the training says; peak: of the process.
CREATE TABLE bench.point (
	number int GENERATED ALWAYS AS IDENTITY, axis text, value bigint, rows bigint, features int, categories bigint, domains int,
	train_seconds float8, took numeric, train_peak numeric,
	load_seconds float8, score_rows bigint, score_seconds float8, predict_seconds float8, score_peak numeric);
