# pg_upgrade takes the catalog's files over as they are: types must mean the same
# on the other side, and models score the same bits there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('old', no_extension => 1);

sql($node, 'CREATE SCHEMA ml; CREATE EXTENSION moemlora SCHEMA ml');
make_rows($node, 2000);

sub train
{
	my ($model, $seed) = @_;

	return qq{SELECT count(*) FROM ml.moemlora_train('$model', 'shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [8], "recipe": "paper", "min_domain_rows": 10, "seed": $seed}')};
}

# Plain types of PostgreSQL's own, and arrays of them: no role or relation by its number, no composite type, domain
# or enum, whose numbers in the files mean nothing elsewhere.
my @types = qw(bigint boolean bytea integer integer[] jsonb name text uuid);
my $columns = q{
	SELECT string_agg(DISTINCT format_type(atttypid, NULL), ', ' ORDER BY format_type(atttypid, NULL))
	FROM pg_attribute
	WHERE attnum > 0 AND NOT attisdropped
	AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'moemlora'::regnamespace AND relkind IN ('r', 'm', 'p'))
};
my $all = join ', ', sort @types, 'double precision', 'timestamp with time zone';

is(sql($node, $columns), $all, 'types of the columns');
foreach my $type ('regrole', 'moemlora.model', 'oid[]')
{
	isnt(sql($node, "BEGIN; ALTER TABLE moemlora.epoch ADD x $type; $columns; ROLLBACK"), $all, "the test sees type $type");
}

# Nor may an index follow the rules of a language, which the system may change.
my $indexes = q{
	SELECT string_agg(indexrelid::regclass::text, ' ')
	FROM pg_index, unnest(indcollation) AS c
	WHERE c NOT IN (0, 'pg_catalog."C"'::regcollation)
	AND indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'moemlora'::regnamespace)
};
is(sql($node, $indexes), '', 'every index compares bytes');
is(sql($node, "BEGIN; CREATE INDEX by_phase ON moemlora.epoch (phase); $indexes; ROLLBACK"), 'moemlora.by_phase',
	'the test sees another index');

# A real one, to a new cluster of the same version.
my ($programs) = grep { -x "$_/pg_upgrade" } split /:/, $ENV{PATH};

SKIP:
{
	skip 'pg_upgrade is not installed', 5 unless defined $programs;
	sql($node, 'CREATE ROLE alice LOGIN; GRANT USAGE ON SCHEMA ml TO alice');
	sql($node, train('m', $_), user => 'alice') foreach 1, 2;
	sql($node, q{SELECT ml.moemlora_grant('m', 'public')}, user => 'alice');
	my $scores = q{SELECT string_agg(float4send(ml.moemlora_predict('m', place, s))::text, '' ORDER BY id) FROM shown AS s};
	my ($expected, $tables) = (sql($node, $scores), catalog($node));

	my $new = PostgreSQL::Test::Cluster->new('new');
	$new->init(extra => [ '-E', 'UTF8', '--no-locale' ]);
	$node->stop('fast');
	chdir $new->basedir or die;
	command_ok(
		[
			'pg_upgrade', '-b', $programs, '-B', $programs, '-d', $node->data_dir, '-D', $new->data_dir,
			'-p', $node->port, '-P', $new->port, '-s', $new->host
		],
		'pg_upgrade');
	$new->append_conf('postgresql.conf', 'jit = off');
	$new->start;
	is(sql($new, $scores), $expected, 'scores are the same bits');
	is(catalog($new), $tables, 'all tables are the same');
	is(sql($new, train('m', 3), user => 'alice'), '3', 'the owner trains on');
	is(sql($new, 'SELECT name, owner, current_version FROM moemlora.models', user => 'alice'), 'm|alice|3', 'the next version');
	$new->stop('fast');
	$node->start;
}

finish($node);
