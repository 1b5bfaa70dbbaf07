-- Schema bench from scratch, no models of the benches, and numbers drawn without a state.
CREATE EXTENSION IF NOT EXISTS moemlora;
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
SELECT moemlora_drop(name) FROM moemlora.models WHERE name IN ('bench', 'bench gated', 'bench mlora')
\g /dev/null

CREATE FUNCTION bench.uniform(purpose int, n bigint) RETURNS float8
LANGUAGE sql IMMUTABLE
RETURN ((hashint8extended(n, purpose) >> 12) & 4503599627370495) / 4503599627370496.0::float8;

-- The CPU time that this session has had.
CREATE FUNCTION bench.cpu_seconds() RETURNS float8
LANGUAGE sql
RETURN coalesce(split_part(pg_read_file('/proc/self/schedstat', 0, 100, true), ' ', 1)::float8 / 1e9, 'NaN');
