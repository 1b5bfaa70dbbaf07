# Models as values: carried through files into other databases, stored in every
# way that the server has, changed from row to row, and decoded once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('values');
my $folder = $node->basedir;

make_rows($node, 2000);

# Models of some 170 kB: half of it are terms of users that nobody has seen, which are zeros and can be compressed.
my $large = q{"embedding_dim": 1, "hidden": [4], "method": "backbone", "epochs": 1, "columns": {"user_id": {"hash": 20000}}};

sub train
{
	my ($model, $options, %options) = @_;

	return sql(
		$node, qq{SELECT count(*) FROM moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{$options}')}, %options);
}

sub scores
{
	my ($model) = @_;

	return qq{SELECT md5(string_agg(float4send(moemlora_predict($model, place, s))::text, '' ORDER BY id)) FROM shown s};
}

train('m', $large);
my $stored = stored_bytes($node, 'm');
my $expected = sql($node, scores(q{'m'}));

# Export, drop, import.
sql($node, q{CREATE TABLE kept AS SELECT moemlora_export('m') AS model; SELECT moemlora_drop('m')});
is(sql($node, q{SELECT moemlora_import('m', model) FROM kept}), '1', 'a dropped model is imported');
is(stored_bytes($node, 'm'), $stored, 'with the same stored bytes');
is(sql($node, scores(q{'m'})), $expected, 'and the same scores, to the bit');
is(sql($node, scores('(SELECT model FROM kept)')), $expected, 'which the value gives too');

# As a file, into another database.
sql($node, 'CREATE DATABASE other');
sql($node, 'CREATE EXTENSION moemlora; CREATE TABLE arrived (model bytea)', db => 'other');
make_rows($node, 2000, db => 'other');
foreach my $format ('binary', 'text')
{
	sql($node, "\\copy (SELECT moemlora_export('m')) TO '$folder/model.$format' WITH (FORMAT $format)");
	sql($node, "TRUNCATE arrived;\n\\copy arrived FROM '$folder/model.$format' WITH (FORMAT $format)", db => 'other');
	is(sql($node, "SELECT moemlora_import('by $format', model) FROM arrived", db => 'other'), '1', "imported from a $format file");
	is(stored_bytes($node, "by $format", db => 'other'), $stored, 'the stored bytes are the same');
	is(sql($node, scores("'by $format'"), db => 'other'), $expected, 'the scores too');
}

# Names must be text in the database that they come to.
sql($node, q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
sql($node, 'CREATE EXTENSION moemlora', db => 'latin');
make_rows($node, 300, db => 'latin');
sql($node, q{UPDATE shown SET place = convert_from('\x636166e9', 'LATIN1') WHERE id % 2 = 0}, db => 'latin');
train('cafe', q{"epochs": 1, "hidden": [2], "method": "backbone"}, db => 'latin');
sql($node, "\\copy (SELECT moemlora_export('cafe')) TO '$folder/latin' WITH (FORMAT binary)", db => 'latin');
sql($node, "CREATE TABLE latin (model bytea);\n\\copy latin FROM '$folder/latin' WITH (FORMAT binary)");
foreach my $call (q{moemlora_import('cafe', model)}, q{moemlora_predict(model, 'place 1', '{}')}, 'moemlora_inspect(model)')
{
	refuses($node, "SELECT $call FROM latin", '22021', qr/names are not valid in encoding "UTF8".*domain of number 1/s,
		"names of another encoding: $call");
}
is(sql($node, q{SELECT count(*) FROM moemlora.models WHERE name = 'cafe'}), '0', 'nothing is stored');

# Parallel plans.
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;';
my $sum = q{SELECT sum(moemlora_predict((SELECT model FROM kept), place, s)::numeric) FROM shown s};

like(sql($node, "$parallel EXPLAIN (COSTS OFF) $sum"), qr/Partial Aggregate/, 'a parallel plan scores with the value');
is(sql($node, "$parallel $sum"), sql($node, "SET max_parallel_workers_per_gather = 0; $sum"), 'and gives the same');

# Stored in every way.  A small model fits into a row as it is.
train('small', $large =~ s/20000/300/r);
foreach my $case (
	[ 'm', 'EXTERNAL', 'none' ],
	[ 'm', 'EXTENDED', 'pglz' ],
	[ 'm', 'MAIN', 'pglz' ],
	[ 'small', 'PLAIN', 'none' ],
	[ 'small', 'MAIN', 'pglz' ])
{
	my ($model, $storage, $compression) = @$case;
	my $table = lc "${model}_$storage";

	sql($node, "CREATE TABLE $table (model bytea); ALTER TABLE $table ALTER model SET STORAGE $storage; SET default_toast_compression = 'pglz';
		INSERT INTO $table SELECT moemlora_export('$model')");
	is(sql($node, "SELECT coalesce(pg_column_compression(model), 'none') FROM $table"), $compression, "$model as $storage: $compression");
	is(sql($node, scores("(SELECT model FROM $table)")), sql($node, scores("'$model'")), 'scores are the same');
	is(sql($node, "SELECT sum((abs(a - b) > 1e-6)::int) FROM (SELECT moemlora_score(model, place, s) OVER () AS a,
			moemlora_predict('$model', place, s) AS b FROM shown s, $table) AS x"), '0', 'in blocks too');
	sql($node, "SELECT moemlora_import('again', model) FROM $table");
	is(stored_bytes($node, 'again'), stored_bytes($node, $model), 'and it can be imported');
}

# Parts of a stored model that are compressed.
sql($node, q{SELECT moemlora_drop('again'); ALTER TABLE moemlora.component ALTER data SET STORAGE EXTENDED, ALTER data SET COMPRESSION pglz;
	UPDATE moemlora.component SET data = data || ''});
is(sql($node, q{SELECT count(*) FROM moemlora.component WHERE pg_column_compression(data) = 'pglz'}), '2', 'compressed parts');
is(sql($node, scores(q{'m'})), $expected, 'are loaded');
is(sql($node, q{SELECT moemlora_export('m') = model FROM kept}), 't', 'and exported');
sql($node, q{CREATE TABLE sound AS TABLE moemlora.component; UPDATE moemlora.component SET data = set_byte(data, 2000, 255 - get_byte(data, 2000))});
refuses($node, $_, 'XX001', qr/stored model "m", version 1, is damaged.*Part 0 of its bytes has a wrong checksum/s, "damage is found: $_")
  foreach q{SELECT moemlora_export('m')}, q{SELECT moemlora_inspect('m')}, q{SELECT moemlora_predict('m', 'place 1', '{}')};
sql($node, q{UPDATE moemlora.component c SET data = s.data FROM sound s WHERE (s.version_id, s.part) = (c.version_id, c.part);
	ALTER TABLE moemlora.component ALTER data SET STORAGE EXTERNAL});

# Ten models by turns: each is fetched and decoded once.
train("turn $_", qq{$large, "seed": $_}) foreach 0 .. 9;
sql($node, q{
	CREATE TABLE turns AS SELECT i AS k, 'turn ' || i AS name, moemlora_export('turn ' || i) AS model FROM generate_series(0, 9) AS i;
	CREATE TABLE expected AS SELECT id, k, moemlora_predict(name, place, s) AS p FROM shown s JOIN turns ON k = id % 10;
	VACUUM ANALYZE});
my $session = Moemlora::Session->new($node);
my $by_turns = q{SELECT bool_and(moemlora_predict(t.model, place, s) = p), count(*)
	FROM (SELECT * FROM shown ORDER BY id OFFSET 0) AS s JOIN expected USING (id) JOIN turns t USING (k)};
my $models = q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'moemlora model'};

is($session->ask("SET enable_sort = off; $by_turns"), 't|2000', 'ten models by turns');
is($session->ask($models), '10', 'and the session has decoded ten');
my ($hits) = $session->ask("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) $by_turns") =~ /"Shared Hit Blocks": (\d+)/;
note("$hits blocks");
cmp_ok($hits, '<', 2000, 'values are not fetched for every row');
is( $session->ask(q{SELECT count(*), sum((abs(x - p) > 1e-6)::int)
		FROM (SELECT id, k, moemlora_score(t.model, place, s) OVER (PARTITION BY k) AS x FROM shown s JOIN turns t ON k = id % 10) AS y
		JOIN expected USING (id)}),
	'2000|0', 'in blocks by partition');
is( $session->ask(q{SELECT count(*), sum((abs(x - p) > 1e-6)::int)
		FROM (SELECT id, k, moemlora_score(t.model, place, s) OVER (ORDER BY id) AS x FROM shown s JOIN turns t ON k = id % 10) AS y
		JOIN expected USING (id)}),
	'2000|0', 'and by turns');

# More values than a call keeps, with hardly any cache.
is( $session->ask(q{SET moemlora.cache_size = '64kB';
		SELECT bool_and(moemlora_predict(CASE i % 2 WHEN 0 THEN model ELSE model || '' END, place, s) = p), count(*)
		FROM shown s JOIN expected USING (id) JOIN turns USING (k), generate_series(1, 2) AS i WHERE id <= 300}),
	't|600', 'with a cache too small for two');

is( $session->ask(q{SELECT bool_and(moemlora_predict(model || '', place, s) = p), count(*), sum((abs(x - p) > 1e-6)::int)
		FROM (SELECT *, moemlora_score(model || '', place, s) OVER (ORDER BY id) AS x
			FROM shown s JOIN expected USING (id) JOIN turns USING (k) WHERE id <= 300) AS s}),
	't|300|0', 'values that are made for each row');

# PL/pgSQL keeps the call, and the value changes: by assignment, update and rollback.
sql(
	$node, q{
	CREATE FUNCTION changing() RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		m bytea;
		n int;
	BEGIN
		FOR round IN 0 .. 29 LOOP
			n := round * 7 % 10;
			SELECT model INTO m FROM turns WHERE k = n;
			UPDATE kept SET model = m;
			BEGIN
				UPDATE kept SET model = (SELECT model FROM turns WHERE k = (n + 1) % 10);
				IF (SELECT moemlora_predict(model, 'place 1', '{"user_id": 7}') FROM kept) <>
					moemlora_predict('turn ' || (n + 1) % 10, 'place 1', '{"user_id": 7}') THEN
					RETURN NEXT 'updated ' || round;
				END IF;
				IF round % 2 = 0 THEN
					RAISE division_by_zero;
				END IF;
			EXCEPTION WHEN division_by_zero THEN
				NULL;
			END;
			IF moemlora_predict(m, 'place 1', '{"user_id": 7}') <> moemlora_predict('turn ' || n, 'place 1', '{"user_id": 7}') THEN
				RETURN NEXT 'assigned ' || round;
			END IF;
			IF (SELECT moemlora_predict(model, 'place 1', '{"user_id": 7}') FROM kept) <>
				moemlora_predict('turn ' || (n + round % 2) % 10, 'place 1', '{"user_id": 7}') THEN
				RETURN NEXT 'rolled back ' || round;
			END IF;
		END LOOP;
	END $$});
is(sql($node, 'SELECT * FROM changing()'), '', 'a loop that changes the value');
is(sql($node, q{SELECT count(DISTINCT moemlora_predict(model, 'place 1', '{"user_id": 7}')) FROM turns}), '10', '(all ten differ)');

# A value that another role brought is decoded anew: whoever forges checksums deceives only himself.
sql($node, q{CREATE ROLE other_role; GRANT SELECT ON turns TO other_role});
$session->ask(q{SET moemlora.cache_size = '10MB'; SELECT moemlora_predict(model, 'place 1', '{}') FROM turns WHERE k = 4});
my $decoded = $session->ask($models);
$session->ask(q{SET ROLE other_role; SELECT moemlora_predict(model, 'place 1', '{}') FROM turns WHERE k = 4; RESET ROLE});
is($session->ask($models) - $decoded, 1, 'roles do not share values');
$session->ask(q{SELECT moemlora_predict(model, 'place 1', '{}') FROM turns WHERE k = 4; SET moemlora.cache_size = '64kB'});

# While a block is read the cache may need room: the block's model stays, and leaves when the block is done.
# (The partition is on disk, and the next row, of another model, has taken the place of the one that the value came with.)
train('small 2', ($large =~ s/20000/300/r) . ', "seed": 7');
sql($node, q{CREATE TABLE pair (name text, model bytea); ALTER TABLE pair ALTER model SET STORAGE PLAIN;
	INSERT INTO pair SELECT name, moemlora_export(name) FROM unnest(ARRAY['small', 'small 2']) AS name});
my $nested = q{SELECT %s, min(n) FROM (SELECT id, moemlora_score(model, place,
		ROW((user_id + moemlora_predict('turn 2', place, s) * 0 + 0 / (id - %d))::int)) OVER (ORDER BY id) AS x, count(*) OVER () AS n,
		moemlora_predict(name, place, s) AS p
	FROM shown s JOIN pair ON (name = 'small') = (id / 4 % 2 = 0)) AS y};

$session->ask("SET work_mem = '64kB'");
is($session->ask(sprintf $nested, 'count(*), sum((abs(x - p) > 1e-6)::int)', 0), '2000|0|2000', 'features that need another model');
like($session->errors(sprintf $nested, 'count(x)', 100), qr/division by zero/, 'an error within a block');
is($session->ask(q{SELECT count(moemlora_predict('turn 3', 'place 1', '{}')); } . $models), "1\n1", 'holds no model for ever');

$session->close;
finish($node);
