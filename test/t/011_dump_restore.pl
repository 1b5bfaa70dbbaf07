# pg_dump and restore carry models over, all of a database or the models alone: scores bit by bit, owners, numbers.

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

# Options: as (a role), dump and restore (options of the programs), prepare (statements of the database's owner before).
sub restored
{
	my ($database, $format, %options) = @_;
	my @connection = (@$port_and_host, $options{as} ? ('-U', $options{as}) : ());

	command_ok([ 'pg_dump', @connection, "-F$format", '-f', "$folder/$database", @{ $options{dump} // [] }, 'source' ],
		"pg_dump of $database");
	sql($node, "CREATE DATABASE $database OWNER landlord");
	sql($node, $options{prepare}, db => $database, user => 'landlord') if $options{prepare};
	my @target = (@{ $options{restore} // [] }, '-d', $database);
	command_ok(
		$format eq 'p'
		? [ 'psql', @connection, '-Xq', '-v', 'ON_ERROR_STOP=1', @target, '-f', "$folder/$database" ]
		: [ 'pg_restore', @connection, '--exit-on-error', @target, "$folder/$database" ],
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
my $moved_owners = 'of "the" house: landlord 1, of alice: landlord 2, of nobody: landlord 1';

sub is_moved
{
	my ($database) = @_;

	is(sql($node, $scores, db => $database, user => 'landlord'), $expected, "$database: scores are the same bits");
	is(sql($node, $owners, db => $database), $moved_owners,
		"$database: no model has an owner that the restoring role may not act for");
	return;
}

is_moved(restored("moved_$_", $_, as => 'landlord')) foreach 'p', 'c';
is_moved(restored('moved', 'c', as => 'landlord', dump => [ '--no-owner', '--no-privileges', '--no-comments' ]));
sql($node, 'GRANT USAGE ON SCHEMA ml TO PUBLIC; GRANT SELECT ON shown TO PUBLIC', db => 'moved', user => 'landlord');
refuses($node, train('of alice', '{}'), '42501', qr/permission denied for model "of alice"/,
	'moved: alice has no right to it now',
	db => 'moved', user => 'alice');

# Data only, into a database that has the extension and the table.
my $rooms = 'CREATE SCHEMA ml; CREATE EXTENSION moemlora SCHEMA ml';
my $table = 'CREATE TABLE shown (id int, user_id int, item text, place text, clicked boolean)';

foreach my $format ('p', 'c')
{
	my $database = restored("data_$format", $format, dump => ['--data-only'], prepare => "$rooms; $table");

	is(sql($node, $scores, db => $database), $expected, "$database: scores are the same bits");
	is(catalog($node, db => $database), $tables, "$database: all tables are the same");
	is(sql($node, train('another', '{}'), db => $database), '3', "$database: numbers go on");
}
is_moved(restored('moved_data', 'c', as => 'landlord', dump => ['--data-only'], prepare => "$rooms; $table"));
is_moved(
	restored(
		'moved_data_of_all', 'c',
		as => 'landlord', restore => [ '--data-only', '--single-transaction' ], prepare => "$rooms; $table"));

# The models alone: the extension, or its schema's tables, and nothing of ours.  A dump of the schema is empty.
sub contents
{
	my (@dump) = @_;

	command_ok([ 'pg_dump', @$port_and_host, '-Fc', '-f', "$folder/contents", @dump, 'source' ], "pg_dump @dump");
	my ($list) = run_command([ 'pg_restore', '-l', "$folder/contents" ]);
	my @entries = sort map { /^\d+; \d+ \d+ (.*?)(?: \S*)?$/ } split /\n/, $list;

	return join ', ', @entries;
}

my $models = join ', ', (map { "SEQUENCE SET moemlora $_" } qw(model_id_seq version_id_seq)),
  (map { "TABLE DATA moemlora $_" } qw(component domain epoch feature grant model phase version));

is(contents('--schema=moemlora'), '', 'an extension is no part of its schema: such a dump has nothing');
is(contents('--schema=moemlora', '--extension=moemlora'), "COMMENT - EXTENSION moemlora, EXTENSION - moemlora, $models",
	'but with the extension it has the models and nothing else');
is(contents('--data-only', '--table=moemlora.*'), $models, 'and so it has by the names of the tables');

my $is_there = "SELECT to_regclass('public.shown') IS NOT NULL";

foreach my $case ([ 'alone', '--schema=moemlora', '--extension=moemlora' ], [ 'alone_by_table', '--data-only', '--table=moemlora.*' ])
{
	my ($database, @dump) = @$case;

	restored($database, 'c', dump => \@dump, prepare => $dump[0] eq '--data-only' ? $rooms : 'CREATE SCHEMA ml');
	is(sql($node, $is_there, db => $database), 'f', "$database: models alone");
	is(catalog($node, db => $database), $tables, "$database: all tables are the same");
	command_ok([ 'pg_restore', @$port_and_host, '--exit-on-error', '-n', 'public', '-d', $database, "$folder/moved_c" ],
		"$database: the rest");
	is(sql($node, $scores, db => $database), $expected, "$database: scores are the same bits");
}

# Several processes at once keep to no order of tables.
foreach my $round (1 .. 3)
{
	my $database = restored("parallel_$round", 'c', restore => ['--jobs=4']);

	is(sql($node, $scores, db => $database), $expected, "$database: scores are the same bits");
	is(catalog($node, db => $database), $tables, "$database: all tables are the same");
}
sql($node, q{SELECT ml.moemlora_drop(name) FROM moemlora.models}, db => 'parallel_1');
unlike(catalog($node, db => 'parallel_1'), qr/\|[1-9]/, 'and what is dropped leaves nothing');

# Who may read all data may dump it, and nobody else but the owner of the database.
sql($node, 'CREATE ROLE keeper LOGIN IN ROLE pg_read_all_data');
restored('kept', 'c', as => 'keeper', dump => ['--no-owner'], restore => [ '-U', 'landlord' ]);
is_moved('kept');
command_fails_like([ 'pg_dump', @$port_and_host, '-U', 'alice', '-Fc', '-f', "$folder/stolen", 'source' ],
	qr/permission denied for (?:table|sequence) model|user may lack SELECT privilege/, 'others may not');

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
