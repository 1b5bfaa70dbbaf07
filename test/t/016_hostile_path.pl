# The extension writes its tables with their owner's rights.  Whatever the
# search_path of the session holds, no code of others may run with them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('hostile_path');

sql(
	$node, q{
	CREATE ROLE mallory LOGIN;
	CREATE SCHEMA trap AUTHORIZATION mallory;
});
make_rows($node, 500);

my $mallory = Moemlora::Session->new($node, user => 'mallory');
my $err;

# An operator or function for everything that the statements on the tables use,
# each of which gives itself away.
sub set_trap
{
	my ($name, $create) = @_;

	is($mallory->errors($create), '', "a trap for $name");
	return;
}

foreach my $type (qw(text name bigint integer uuid))
{
	set_trap(
		"= of $type", qq{
		CREATE FUNCTION trap.equal(a $type, b $type) RETURNS boolean LANGUAGE plpgsql AS \$\$
		BEGIN
			RAISE WARNING 'trap: = as %', current_user;
			RETURN a OPERATOR(pg_catalog.=) b;
		END \$\$;
		CREATE OPERATOR trap.= (LEFTARG = $type, RIGHTARG = $type, FUNCTION = trap.equal)});
}
set_trap(
	'+', q{
	CREATE FUNCTION trap.plus(a integer, b integer) RETURNS integer LANGUAGE plpgsql AS $$
	BEGIN
		RAISE WARNING 'trap: + as %', current_user;
		RETURN a OPERATOR(pg_catalog.+) b;
	END $$;
	CREATE OPERATOR trap.+ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = trap.plus)});
set_trap(
	'jsonb_build_object', q{
	CREATE FUNCTION trap.jsonb_build_object(text, text, text, text, text, text, text, text[], text, jsonb, text, text)
	RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		RAISE WARNING 'trap: jsonb_build_object as %', current_user;
		RETURN '{}';
	END $$});
foreach my $function (
	'gen_random_uuid() RETURNS uuid', 'clock_timestamp() RETURNS timestamptz', 'now() RETURNS timestamptz')
{
	set_trap(
		$function, qq{
		CREATE FUNCTION trap.$function LANGUAGE plpgsql AS \$\$
		BEGIN
			RAISE WARNING 'trap: $function as %', current_user;
			RETURN NULL;
		END \$\$});
}
foreach my $operator ('<>', '>', '<')
{
	set_trap(
		$operator, qq{
		CREATE FUNCTION trap."compare $operator"(a integer, b integer) RETURNS boolean LANGUAGE plpgsql AS \$\$
		BEGIN
			RAISE WARNING 'trap: $operator as %', current_user;
			RETURN a OPERATOR(pg_catalog.$operator) b;
		END \$\$;
		CREATE OPERATOR trap.$operator (LEFTARG = integer, RIGHTARG = integer, FUNCTION = trap."compare $operator")});
}
foreach my $function (
	'array_append(integer[], integer) RETURNS integer[]', 'array_remove(integer[], integer) RETURNS integer[]',
	'trim_array(integer[], integer) RETURNS integer[]', 'cardinality(integer[]) RETURNS integer',
	'unnest(integer[]) RETURNS SETOF integer')
{
	set_trap(
		$function, qq{
		CREATE FUNCTION trap.$function LANGUAGE plpgsql AS \$\$
		BEGIN
			RAISE WARNING 'trap: $function as %', current_user;
		END \$\$});
}
set_trap('tables', qq{CREATE TABLE trap."$_" (id int); CREATE TEMP TABLE "$_" (id int)})
  foreach qw(model grant version component feature domain phase epoch);
set_trap('types', "CREATE DOMAIN trap.$_ AS pg_catalog.$_; CREATE DOMAIN pg_temp.$_ AS pg_catalog.$_")
  foreach qw(text name);

# The traps work: an ordinary query steps into one.
$mallory->ask('SET search_path = trap, pg_temp, pg_catalog, public');
like($mallory->errors(q{SELECT 1::pg_catalog.int8 = 1::pg_catalog.int8}), qr/trap: = as mallory/,
	'an unguarded query runs the hostile operator');

my $train = q{SELECT pg_catalog.count(*) FROM moemlora_train('%s', 'public.shown', 'clicked', 'place', ARRAY['user_id'],
	'{"epochs": 1, "hidden": [4], "min_domain_rows": 10, "recipe": "paper"}')};

foreach my $case (
	[ 'train a new model', sprintf($train, 'm'), '3' ],
	[ 'train a version', sprintf($train, 'm'), '3' ],
	[ 'train another model', sprintf($train, 'n'), '3' ],
	[
		'add a domain',
		q{SELECT pg_catalog.count(*) FROM moemlora_add_domain('n', 'new',
			$$(SELECT user_id, clicked, 'new'::pg_catalog.text AS place FROM public.shown)$$, '{"epochs": 1}')},
		'3'
	],
	[ 'predict, record', q{SELECT pg_catalog.count(moemlora_predict('m', place, s)) FROM public.shown s}, '500' ],
	[ 'predict, text', q{SELECT pg_catalog.count(moemlora_predict('m', 'place 1', '{"user_id": 7}'))}, '1' ],
	[
		'tune',
		q{SELECT pg_catalog.count(*) FROM moemlora_tune('public.shown', 'clicked', 'place', '{user_id}',
			'{"epochs": 1, "hidden": [4], "method": "backbone", "dropout": [0, 0.5]}')},
		'2'
	],
	[ 'evaluate', q{SELECT pg_catalog.count(*) FROM moemlora_evaluate('m', 'public.shown', 'clicked', 'place')}, '6' ],
	[ 'compare', q{SELECT pg_catalog.count(*) FROM moemlora_compare('{m,m@1}', 'public.shown', 'clicked', 'place')}, '12' ],
	[ 'importance', q{SELECT pg_catalog.count(*) FROM moemlora_importance('m', 'public.shown', 'clicked', 'place')}, '4' ],
	[ 'drift', q{SELECT pg_catalog.count(*) FROM moemlora_drift('m', 'public.shown', 'place')}, '9' ],
	[ 'report', q{SELECT pg_catalog.strpos(moemlora_report('m'), 'Measured on all 500 rows') OPERATOR(pg_catalog.>) 0}, 't' ],
	[ 'report on rows', q{SELECT pg_catalog.strpos(moemlora_report('m', 'public.shown'), 'Measured on the 500 rows') OPERATOR(pg_catalog.>) 0}, 't' ],
	[ 'gates', q{SELECT pg_catalog.count(*) FROM moemlora_gates('m')}, '9' ],
	[ 'explain', q{SELECT pg_catalog.count(*) FROM moemlora_explain('m', 'place 1', ROW(7))}, '5' ],
	[ 'tensor', q{SELECT pg_catalog.array_ndims(moemlora_tensor('m', 'gate.domain'))}, '2' ],
	[ 'embedding', q{SELECT pg_catalog.array_ndims(moemlora_embedding('m', 'user_id', 7))}, '1' ],
	[
		'the views',
		'SELECT pg_catalog.count(*) FROM moemlora.models, moemlora.versions, moemlora.cards, moemlora.decisions,'
		  . ' moemlora.grants, moemlora.phases, moemlora.epochs, moemlora.domains, moemlora.runs, moemlora.progress',
		'0'
	],
	[ 'promote', q{SELECT moemlora_promote('m', 1)}, '' ],
	[ 'rollback', q{SELECT moemlora_rollback('m')}, '2' ],
	[ 'drop_version', q{SELECT moemlora_drop_version('m', 1)}, '' ],
	[ 'train a third version', sprintf($train, 'm'), '3' ],
	[ 'prune', q{SELECT moemlora_prune('m', 1)}, '1' ],
	[ 'rename', q{SELECT moemlora_rename('m', 'renamed'), moemlora_rename('renamed', 'm')}, '|' ],
	[ 'grant', q{SELECT moemlora_grant('m', 'postgres'), moemlora_grant('m', 'public')}, '|' ],
	[ 'view grants', q{SELECT pg_catalog.string_agg(grantee, ' ') FROM moemlora.grants}, 'postgres public' ],
	[ 'revoke', q{SELECT moemlora_revoke('m', 'public')}, '' ],
	[ 'owner_to', q{SELECT moemlora_owner_to('m', 'mallory')}, '' ],
	[ 'drop', q{SELECT moemlora_drop('n')}, '' ])
{
	my ($what, $query, $answer) = @$case;
	my $out = $mallory->ask($query);

	is($out . $mallory->errors, $answer, "$what steps into no trap");
}
is($mallory->ask('SELECT current_user, pg_catalog.current_setting($$search_path$$)'),
	'mallory|trap, pg_temp, pg_catalog, public',
	'role and search_path are as before');
is( sql(
		$node, q{
		SELECT count(*), bool_and(spec ?& ARRAY['source', 'label', 'domain', 'features', 'options', 'search_path'])
		FROM moemlora.version
	}),
	'1|t', 'and what was stored is right');

# What belongs to the source does run, as the caller.
$mallory->ask(q{
	CREATE FUNCTION trap.looked(place text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		RAISE WARNING 'looked as %, %', current_user, session_user;
		RETURN place;
	END $$});
$err = $mallory->errors(q{SELECT pg_catalog.count(*) FROM moemlora_train('m',
	'(SELECT user_id, clicked, trap.looked(place::pg_catalog.text) AS place FROM public.shown LIMIT 1)',
	'clicked', 'place', ARRAY['user_id'], '{"epochs": 1, "hidden": [4], "validation": 0}')});
like($err, qr/looked as mallory, mallory/, 'functions of the source run as the caller');

# An error among the statements on the tables leaves role and search_path as they were.
sql(
	$node, q{
	CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		RAISE EXCEPTION 'stumbled as %', current_user;
	END $$;
	CREATE TRIGGER stumble BEFORE INSERT ON moemlora.phase FOR EACH ROW EXECUTE FUNCTION stumble();
});
$err = $mallory->errors(q{DO $$
	BEGIN
		BEGIN
			PERFORM moemlora_train('m', 'public.shown', 'clicked', 'place', ARRAY['user_id'], '{"epochs": 1, "hidden": [4]}');
		EXCEPTION WHEN raise_exception THEN RAISE WARNING 'caught "%"', SQLERRM;
		END;
		RAISE WARNING 'now % with %', current_user, pg_catalog.current_setting('search_path');
	END $$});
like($err, qr/caught "stumbled as (?!mallory)/, 'an error while storing can be caught');
like($err, qr/now mallory with trap, pg_temp, pg_catalog, public/, 'and role and search_path are as before');
sql($node, 'DROP TRIGGER stumble ON moemlora.phase; DROP FUNCTION stumble');
is($mallory->ask(sprintf($train, 'm')), '3', 'the session trains on');

$mallory->close;
finish($node);
