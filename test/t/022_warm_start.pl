# Option warm_start: night after night a model goes on from its current version.
# It keeps what it knew, learns what is new from few rows, and is the same for
# any order of the rows; what it starts from is the current version under the
# model's lock, for those who may train the model.
#
# The thresholds stand well off what was seen with four seeds of the data: WAUC
# on fresh rows .695 to .709 after the first night, .002 below to .008 above that
# after the second one, .058 to .074 above what its rows alone bring; AUC in the
# place that has gone .006 below to .005 above; in the new place .689 to .728.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('warm_start');

plant_clicks($node);

# The first night knows neither place 7 nor the items from 81 on; in the second one nothing comes from place 1.
sql(
	$node, q{
	CREATE TABLE drawn AS SELECT * FROM clicks(60000, 8, 0.5, 1);
	CREATE VIEW night_1 AS SELECT * FROM drawn WHERE id <= 30000 AND place <> 'place 7' AND item_id <= 80;
	CREATE VIEW night_2 AS SELECT * FROM drawn WHERE id BETWEEN 30001 AND 33000 AND place <> 'place 1';
	CREATE VIEW fresh AS SELECT * FROM drawn WHERE id > 40000;
	GRANT SELECT ON night_1, night_2, fresh TO PUBLIC;
	ALTER TABLE drawn SET (parallel_workers = 2);
});

sub train
{
	my ($model, $source, $options) = @_;

	$options //= '{}';
	return qq{SELECT count(*) > 0 FROM moemlora_train('$model', '$source', 'clicked', 'place', ARRAY['user_id', 'item_id', 'price'],
		'{"epochs": 30, "hidden": [8], "embedding_dim": 8, "lora_rank": 4, "learning_rate": 0.01, "dropout": 0,
		  "validation": 0.2, "warm_start": true}'::jsonb || '$options')};
}

# The AUC of a version on fresh rows.
sub auc
{
	my ($model, $version, $where) = @_;

	return sql($node, "SELECT round(auc::numeric, 4)
		FROM moemlora_evaluate('$model', 'fresh', 'clicked', 'place', $version) WHERE $where");
}

# What version 2 keeps, and learns.
my $said = sql($node, train('m', 'night_1'), notices => 1);

like($said, qr/NOTICE:  00000: option "warm_start" has no effect: model "m" does not exist yet/,
	'the first night has nothing to start from');
unlike($said, qr/warm start from/, 'and says so');
$said = sql($node, train('m', 'night_2'), notices => 1);
like($said, qr/NOTICE:  00000: phase backbone: warm start from version 1\b/, 'the second night says where it starts');
unlike($said, qr/has no effect/, 'and nothing else');
sql($node, train('cold', 'night_2'));

my ($first, $second, $cold) =
  map { auc(@$_, q(scope = 'weighted')) } [ 'm', 1 ], [ 'm', 2 ], [ 'cold', 1 ];
my @gone = map { auc('m', $_, q(domain = 'place 1')) } 1, 2;
my $new = auc('m', 2, q(domain = 'place 7'));

note("WAUC on fresh rows: first night $first, second night $second, its rows alone $cold");
note("place 1: $gone[0], then $gone[1]; place 7: $new");
cmp_ok($second, '>', $first - 0.01, 'the second night forgets nothing');
cmp_ok($second, '>', $cold + 0.03, 'and is far above its rows alone');
cmp_ok($gone[1], '>', $gone[0] - 0.03, 'a place that has gone is known');
cmp_ok($new, '>', 0.62, 'a new place is learned');
is( sql($node, q{SELECT string_agg(version || ' ' || value, ', ' ORDER BY version, name)
		FROM moemlora.cards WHERE model = 'm' AND name IN ('domains', 'experts')}),
	'1 7, 1 7, 2 8, 2 8', 'domains and experts of both nights');

# The first epoch of every start is what the version before knew; of a first training it is nothing.
is( sql($node, q{SELECT string_agg(DISTINCT (model, version, valid_auc > 0.6)::text, ' ') FROM moemlora.epochs
		WHERE phase IN ('backbone', 'joint', 'gated') AND epoch = 0}),
	'(cold,1,f) (m,1,f) (m,2,t)', 'training begins with what the version before knew');
is( sql($node, q{SELECT count(*) FROM moemlora.versions v WHERE model = 'm' AND version = 2 AND valid_auc <
		(SELECT max(valid_auc) FROM moemlora.epochs e WHERE e.model = v.model AND e.version = 2 AND epoch = 0 AND expert IS NULL)}),
	'0', 'and never ends below that on its validation rows');

# The same rows and the same version before: the same model, bit by bit.
sub second_night
{
	my ($source, %how) = @_;

	return sql($node, ($how{settings} // '') . "
		BEGIN;
		SELECT moemlora_drop('again') FROM moemlora.models WHERE name = 'again';
		@{[train('again', 'night_1', $how{first} // '{\"epochs\": 2}')]};
		@{[train('again', $source, '{\"epochs\": 2}')]};
		COMMIT") && stored_bytes($node, 'again');
}

my $bytes = second_night('night_2');
my $columns = 'item_id, clicked, price::float8, place, user_id::bigint';

is(second_night('night_2'), $bytes, 'the same twice');
is(second_night('(SELECT * FROM night_2 ORDER BY md5(id::text))'), $bytes, 'rows in another order');
is(second_night("(SELECT $columns FROM night_2)"), $bytes, 'other columns, types of the same values');
is( second_night('night_2',
		settings => 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;'),
	$bytes, 'a parallel plan of the source');
isnt(second_night('night_2', first => '{"epochs": 1}'), $bytes, 'after another first night it is another model');
isnt(second_night('(SELECT * FROM night_2 OFFSET 1)'), $bytes, 'and without a row');

# What it starts from is current when the model's lock is taken, and stays so until the end.
my @sessions = map { Moemlora::Session->new($node) } 1, 2;
my $quick = '{"epochs": 1, "method": "backbone"}';
my $started = q{SELECT note FROM moemlora.phases WHERE model = 'n' ORDER BY version DESC LIMIT 1};

sub started
{
	return $sessions[0]->ask($started) =~ s/\n.*//sr;
}

$sessions[0]->ask(train('n', 'night_2', $quick));
$sessions[0]->ask('BEGIN; ' . train('n', 'night_2', $quick));
like($sessions[1]->errors(train('n', 'night_2', $quick)), qr/ERROR:  55P03/, 'not while another session trains it');
$sessions[0]->ask(train('n', 'night_2', $quick));
is(started(), 'warm start from version 2', 'a transaction starts from what it has stored itself');
$sessions[0]->ask('COMMIT');
$sessions[1]->ask(train('n', 'night_2', $quick));
is(started(), 'warm start from version 3', 'after the commit others do');
$sessions[1]->ask('BEGIN; ' . train('n', 'night_2', $quick) . '; ROLLBACK');
$sessions[1]->ask(train('n', 'night_2', $quick));
is(started(), 'warm start from version 4', 'what is rolled back is nothing to start from');
$sessions[1]->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM moemlora.models');
$sessions[0]->ask(train('n', 'night_2', $quick));
like($sessions[1]->errors(train('n', 'night_2', $quick)), qr/ERROR:  40001/, 'a snapshot that is too old');
$sessions[1]->ask('ROLLBACK');

# Nothing is left in the session, and a cancel or error stores nothing.
my $stored = catalog($node);

is( $sessions[0]->ask(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name ~ '^moemlora (?!model)'}),
	'0', 'no memory is kept');
like($sessions[0]->errors(q{SET statement_timeout = '100ms'; }
		  . train('m', 'night_2', '{"epochs": 100000, "patience": 100000}')),
	qr/ERROR:  57014/, 'cancelled');
$sessions[0]->ask('RESET statement_timeout');
like($sessions[0]->errors(train('m', 'night_2', '{"hidden": [9]}')), qr/ERROR:  22023: cannot start from version 2/, 'refused');
like($sessions[0]->errors(train('m', '(SELECT *, pg_sleep(60) FROM night_2)', '{"hidden": [9]}')),
	qr/ERROR:  22023: cannot start from version 2/, 'before any row is read');
is( $sessions[0]->ask(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name ~ '^moemlora (?!model)'}),
	'0', 'no memory is kept');
is(catalog($node), $stored, 'nothing is stored');
$_->close foreach @sessions;

# Who may train a model may start from it, and nobody else.
sql(
	$node, q{
	CREATE ROLE owner LOGIN;
	CREATE ROLE member LOGIN IN ROLE owner;
	CREATE ROLE grantee LOGIN;
	CREATE ROLE stranger LOGIN;
});
sql($node, train('o', 'night_2', $quick), user => 'owner');
sql($node, q{INSERT INTO moemlora.grant SELECT id, 'grantee' FROM moemlora.model WHERE name = 'o'});
is(sql($node, train('o', 'night_2', $quick), user => 'member'), 't', 'a member of the owner may');
refuses($node, train('o', 'night_2', $quick), '42501', qr/permission denied for model "o"/, "a $_ may not", user => $_)
  foreach 'grantee', 'stranger';

# Stored bytes that are not what they were.
my $of_o = q{v.id = c.version_id AND m.id = v.model_id AND m.name = 'o'};

sql($node, qq{UPDATE moemlora.component c SET data = set_byte(data, 3000, get_byte(data, 3000) # 1)
	FROM moemlora.version v, moemlora.model m WHERE $of_o});
refuses($node, train('o', 'night_2', $quick), 'XX001', qr/stored model "o", version 2, is damaged.*wrong checksum/s,
	'a version that is damaged');
sql($node, "DELETE FROM moemlora.component c USING moemlora.version v, moemlora.model m WHERE $of_o");
refuses($node, train('o', 'night_2', $quick), 'XX001', qr/stored model "o", version 2, is damaged.*is missing/s,
	'a version without its bytes');
is(sql($node, train('o', 'night_2', '{"epochs": 1, "warm_start": false}')), 't', 'from scratch it can be trained');
is(sql($node, train('o', 'night_2', '{"epochs": 1}')), 't', 'and then go on');

finish($node);
