# pg_dump and restore carry models over: scores bit by bit, owners, numbers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('dump_restore', no_extension => 1);
my $folder = $node->basedir;

# A database that belongs to an ordinary role, with the extension in a schema of its own.
sql(
	$node, q{
	CREATE ROLE landlord LOGIN;
	CREATE ROLE alice LOGIN;
	CREATE ROLE leaving LOGIN;
	CREATE DATABASE source OWNER landlord;
});
sql(
	$node, q{
	CREATE SCHEMA ml;
	CREATE EXTENSION moemlora SCHEMA ml;
	GRANT USAGE ON SCHEMA ml TO PUBLIC;
	CREATE TABLE shown AS
	SELECT i AS id, i % 50 AS user_id, 'item ' || i % 31 AS item, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked
	FROM generate_series(1, 3000) AS i;
	GRANT SELECT ON shown TO PUBLIC;
}, db => 'source', user => 'landlord');

sub train
{
	my ($model, $options) = @_;

	return qq{SELECT count(*) FROM ml.moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id', 'item'],
		'{"epochs": 2, "hidden": [16, 8], "embedding_dim": 4, "recipe": "paper"}'::jsonb || '$options')};
}

sql($node, train('of "the" house', '{}'), db => 'source', user => 'landlord');
sql($node, train('of alice', '{}'), db => 'source', user => 'alice');
sql($node, train('of alice', '{"seed": 7}'), db => 'source', user => 'alice');
sql($node, train('of nobody', '{}'), db => 'source', user => 'leaving');

sql($node, q{SELECT ml.moemlora_grant('of alice', 'leaving'), ml.moemlora_grant('of alice', 'public')}, db => 'source',
	user => 'alice');

my $scores = q{
	SELECT string_agg(float4send(ml.moemlora_predict(model, place, s))::text, '' ORDER BY model, id)
	FROM shown s, unnest(ARRAY['of "the" house', 'of alice', 'of nobody']) AS model
};
my $owners = q{
	SELECT string_agg(name || ': ' || owner || ' ' || current_version, ', ' ORDER BY name COLLATE "C")
	FROM moemlora.model
};
my $expected = sql($node, $scores, db => 'source');
my $tables = catalog($node, db => 'source');

is(sql($node, $owners, db => 'source'), 'of "the" house: landlord 1, of alice: alice 2, of nobody: leaving 1',
	'models and their owners');

# By a superuser, plain and custom format.
my $port_and_host = [ '-p', $node->port, '-h', $node->host ];

sub restored
{
	my ($database, $format, @as) = @_;

	command_ok([ 'pg_dump', @$port_and_host, @as, "-F$format", '-f', "$folder/$database", 'source' ],
		"pg_dump of $database");
	sql($node, "CREATE DATABASE $database OWNER landlord");
	command_ok(
		$format eq 'p'
		? [ 'psql', @$port_and_host, @as, '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', "$folder/$database" ]
		: [ 'pg_restore', @$port_and_host, @as, '--exit-on-error', '-d', $database, "$folder/$database" ],
		"restore of $database");
	return $database;
}

foreach my $case ([ 'plain', 'p' ], [ 'custom', 'c' ])
{
	my $database = restored(@$case);

	is(sql($node, $scores, db => $database), $expected, "$database: scores are the same bits");
	is(catalog($node, db => $database), $tables, "$database: all tables are the same");
	is(sql($node, train('of alice', '{}'), db => $database, user => 'alice'), '3', "$database: the owner trains on");
	is(sql($node, q{BEGIN; SELECT ml.moemlora_rollback('of alice'), ml.moemlora_rollback('of alice'); ROLLBACK},
			db => $database, user => 'alice'), '2|1', "$database: rollback knows the way");
	is(sql($node, train('another', '{}'), db => $database, user => 'alice'), '3', "$database: and a new model");
	is( sql($node, $owners, db => $database),
		'another: alice 1, of "the" house: landlord 1, of alice: alice 3, of nobody: leaving 1',
		"$database: with numbers that go on");
}

# By the database's owner, who is no superuser: models of roles that he may not act for become his own.
my $moved = restored('moved', 'c', '-U', 'landlord', '--no-owner', '--no-privileges', '--no-comments');

sql($node, 'GRANT USAGE ON SCHEMA ml TO PUBLIC; GRANT SELECT ON shown TO PUBLIC', db => $moved, user => 'landlord');
is(sql($node, $scores, db => $moved, user => 'landlord'), $expected, 'moved: scores are the same bits');
is(sql($node, $owners, db => $moved), 'of "the" house: landlord 1, of alice: landlord 2, of nobody: landlord 1',
	'moved: no model has an owner that the restoring role may not act for');
refuses($node, train('of alice', '{}'), '42501', qr/permission denied for model "of alice"/,
	'moved: alice has no right to it now',
	db => $moved, user => 'alice');

# A role that is missing where the dump is restored does not stop it.
command_ok([ 'pg_dump', @$port_and_host, '-Fc', '-f', "$folder/without", 'source' ], 'pg_dump');
sql($node, 'DROP ROLE leaving');
sql($node, 'CREATE DATABASE without');
command_ok([ 'pg_restore', @$port_and_host, '--exit-on-error', '-d', 'without', "$folder/without" ],
	'restore without one of the owners');
like(sql($node, $owners, db => 'without'),
	qr/^of "the" house: landlord 1, of alice: alice 2, of nobody: (?!leaving)\S+ 1$/,
	'the model of the missing role belongs to the restoring one');
is(sql($node, $scores, db => 'without'), $expected, 'and scores the same bits');

is(sql($node, 'SELECT model, grantee FROM moemlora.grants', db => $_->[0]), $_->[1], "$_->[0]: grants")
  foreach [ 'without', 'of alice|public' ], [ 'custom', "of alice|leaving\nof alice|public" ];

finish($node);
