# The extension as an object: who may create it, in which schema, and that
# DROP EXTENSION leaves nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('extension', no_extension => 1);

sql($node, 'CREATE ROLE landlord LOGIN; CREATE ROLE tenant LOGIN; CREATE DATABASE house OWNER landlord');
my %house = (db => 'house', user => 'landlord');

# Everything in the database that a user could trip over, as text.
my $objects = q{
	SELECT string_agg(o, E'\n' ORDER BY o) FROM (
		SELECT 'relation ' || oid::regclass FROM pg_class
		UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc
		UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
		UNION ALL SELECT 'type ' || oid::regtype FROM pg_type
		UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger
		UNION ALL SELECT 'comment ' || description FROM pg_description
		UNION ALL SELECT 'dependency ' || classid || ' ' || refclassid FROM pg_depend
		UNION ALL SELECT 'initial privileges ' || classoid FROM pg_init_privs
		UNION ALL SELECT 'extension ' || extname FROM pg_extension) AS t(o)
};
my $before = sql($node, $objects, %house);
my $session = Moemlora::Session->new($node, %house);

make_rows($node, 2000, %house);
my $with_table = sql($node, $objects, %house);

# Any owner of a database may install it, wherever there is room; twice, to see that nothing was left.
foreach my $schema ('public', 'public', '"Odd schema"')
{
	$session->ask("CREATE SCHEMA IF NOT EXISTS $schema");
	is($session->errors("CREATE EXTENSION moemlora SCHEMA $schema"), '',
		"CREATE EXTENSION in schema $schema by the owner of the database");

	# Names of the functions are written with their schema, so no search_path is needed.
	my $train = qq{SELECT count(*) FROM $schema.moemlora_train('m', 'public.shown', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [4]}')};
	my $predict = qq{SELECT $schema.moemlora_predict('m', 'place 1', '{"user_id": 7}') BETWEEN 0 AND 1};

	foreach my $path ('public', 'pg_catalog', "''")
	{
		is($session->ask("SET search_path = $path; $train; $predict; RESET search_path"), "5\nt",
			"train and predict, search_path = $path");
	}
	is($session->ask("SELECT count(*), max(current_version) FROM moemlora.models"), '1|3', 'the views work');
	is( $session->ask("SELECT count(*) FROM $schema.moemlora_evaluate('m', 'public.shown', 'clicked', 'place')"),
		'6', 'and evaluate');
	is($session->ask("SELECT $schema.moemlora_auc(x, x > 1) FROM generate_series(1, 3) AS x"), '1', 'and an aggregate');

	# What the catalog must be like.
	is( $session->ask(q{
			SELECT string_agg(pg_describe_object(classid, objid, 0), ', ')
			FROM pg_depend d
			WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'moemlora')
			AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass)
			AND (classid <> 'pg_class'::regclass OR (SELECT relkind IN ('r', 'v') FROM pg_class WHERE oid = objid))
			AND obj_description(objid, classid::regclass::name) IS NULL
		}),
		'', 'every object has a comment');
	is( $session->ask(q{
			SELECT string_agg(attrelid::regclass || '.' || attname, ', ')
			FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NULL
			AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'moemlora'::regnamespace AND relkind IN ('r', 'v'))
		}),
		'', 'and every column');
	is( $session->ask(q{
			SELECT string_agg(oid::regclass::text, ', ') FROM pg_class c
			WHERE relnamespace = 'moemlora'::regnamespace AND relkind IN ('r', 'S')
			AND NOT oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'moemlora')
			AND relname NOT LIKE 'checkpoint%'
		}),
		'', 'every table and sequence is dumped but those of retrainings under way');

	is($session->errors('DROP EXTENSION moemlora'), '', 'DROP EXTENSION');
	$session->ask("DROP SCHEMA $schema") unless $schema eq 'public';
	is(sql($node, $objects, %house), $with_table, 'leaves nothing');
	like($session->errors($predict), qr/ERROR:  (?:42883|3F000)/,
		'and the functions are gone, for the session that used them too');
}
$session->ask('DROP TABLE shown');
is(sql($node, $objects, %house), $before, 'nor did the training');

# So may a role that was granted CREATE on a database of somebody else: it owns
# the extension and its models, but not the tables.
my %lodger = (db => 'house', user => 'lodger');

sql($node, 'CREATE ROLE lodger LOGIN; GRANT CREATE ON DATABASE house TO lodger');
sql($node, 'CREATE SCHEMA room', %lodger);
$before = sql($node, $objects, %house);
sql($node, 'CREATE EXTENSION moemlora SCHEMA room', %lodger);
is( sql($node, q{
		SELECT extowner::regrole, relowner::regrole, proowner::regrole, nspowner::regrole
		FROM pg_extension, pg_class, pg_proc, pg_namespace
		WHERE extname = 'moemlora' AND pg_class.oid = 'moemlora.model'::regclass
		AND proname = 'moemlora_train' AND nspname = 'moemlora'
	}, db => 'house'),
	join('|', 'lodger', (sql($node, 'SELECT rolname FROM pg_roles WHERE oid = 10')) x 3),
	'of the extension only its entry belongs to who created it');
sql($node, q{CREATE TABLE room.shown AS SELECT i % 50 AS user_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked
	FROM generate_series(1, 2000) AS i}, %lodger);
is( sql($node, q{SELECT count(*) FROM room.moemlora_train('m', 'room.shown', 'clicked', 'place', NULL,
		'{"epochs": 1, "hidden": [4]}')}, %lodger),
	'5', 'the lodger trains');
is( sql($node, q{SELECT room.moemlora_predict('m', 'place 1', '{"user_id": 7}') BETWEEN 0 AND 1, owner FROM moemlora.models},
		%lodger),
	't|lodger', 'and scores');
foreach my $write ('SELECT data FROM moemlora.component', 'UPDATE moemlora.model SET owner = owner',
	'ALTER TABLE moemlora.model ADD x int', 'ALTER FUNCTION room.moemlora_drop(text) SECURITY DEFINER',
	'DROP TABLE moemlora.grant', 'CREATE TABLE moemlora.trap (i int)')
{
	refuses($node, $write, '42501', qr/permission denied|must be owner/, "but may not: $write", %lodger);
}
sql($node, 'DROP TABLE room.shown; DROP EXTENSION moemlora', %lodger);
is(sql($node, $objects, %house), $before, 'and DROP EXTENSION by the lodger leaves nothing');

# Others' objects in the way: refused, and nobody's code is taken over.
refuses($node, 'CREATE EXTENSION moemlora', '42501', qr/permission denied to create extension/,
	'a tenant may not create it',
	db => 'house', user => 'tenant');
foreach my $obstacle (
	[ 'schema', 'GRANT CREATE ON DATABASE house TO tenant', 'CREATE SCHEMA moemlora', 'DROP SCHEMA moemlora', '42P06' ],
	[
		'function', 'GRANT CREATE ON SCHEMA public TO tenant',
		q{CREATE FUNCTION public.moemlora_predict(text, text, jsonb) RETURNS real LANGUAGE sql AS 'SELECT 1::real'},
		'DROP FUNCTION public.moemlora_predict(text, text, jsonb)', '42723'
	],
	[
		'operator', 'GRANT CREATE ON SCHEMA public TO tenant',
		q{CREATE FUNCTION public.stolen(name, name) RETURNS boolean LANGUAGE plpgsql
			AS 'BEGIN RAISE EXCEPTION $$stolen as %$$, current_user; END';
		  CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.stolen)},
		'DROP OPERATOR public.= (name, name); DROP FUNCTION public.stolen', undef
	])
{
	my ($what, $grant, $create, $drop, $sqlstate) = @$obstacle;

	sql($node, $grant, db => 'house');
	sql($node, $create, db => 'house', user => 'tenant');
	if (defined $sqlstate)
	{
		refuses($node, 'CREATE EXTENSION moemlora SCHEMA public', $sqlstate, qr/already exists/,
			"another's $what of the same name", %house);
	}
	else
	{
		sql($node,
			'SET search_path = public, pg_catalog; CREATE EXTENSION moemlora SCHEMA public; DROP EXTENSION moemlora',
			%house);
		pass("another's $what before pg_catalog is not used");
	}
	sql($node, $drop, db => 'house', user => 'tenant');
}

# The tables belong to the extension.
sql($node, 'CREATE EXTENSION moemlora', %house);
refuses($node, 'DROP TABLE moemlora.model CASCADE', '42501', qr/must be owner/,
	'the owner of the database cannot drop a table of it', %house);
refuses($node, 'DROP TABLE moemlora.model CASCADE', '2BP01', qr/extension moemlora requires it/,
	'nor can a superuser', db => 'house');
refuses($node, 'ALTER EXTENSION moemlora SET SCHEMA pg_catalog', '0A000', qr/does not support SET SCHEMA/,
	'it cannot be moved', db => 'house');

$session->close;
finish($node);
