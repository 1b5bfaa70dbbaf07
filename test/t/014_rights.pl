# Who may do what with a model: its owner and the members of that role
# everything, superusers everything, grantees score and inspect, strangers
# nothing; and what holds when the owner is gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('rights', no_extension => 1);

# quiet is a member of the owner's role without inheriting.
sql(
	$node, q{
	CREATE ROLE landlord LOGIN;
	CREATE ROLE owner LOGIN;
	CREATE ROLE member LOGIN IN ROLE owner;
	CREATE ROLE member_of_member LOGIN IN ROLE member;
	CREATE ROLE quiet LOGIN NOINHERIT IN ROLE owner;
	CREATE ROLE grantees;
	CREATE ROLE grantee LOGIN IN ROLE grantees;
	CREATE ROLE quiet_grantee LOGIN NOINHERIT IN ROLE grantees;
	CREATE ROLE stranger LOGIN;
	CREATE ROLE boss LOGIN SUPERUSER;
	CREATE DATABASE house OWNER landlord;
});
my %db = (db => 'house');

sql($node, 'CREATE EXTENSION moemlora', %db, user => 'landlord');
make_rows($node, 500, %db, user => 'landlord');

sub train
{
	my ($model) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('$model', 'shown', 'clicked', 'place', NULL,
		'{"epochs": 1, "hidden": [4], "min_domain_rows": 10, "recipe": "paper"}')};
}

sql($node, train('m'), %db, user => 'owner') foreach 1, 2;
sql($node, train('of another'), %db, user => 'landlord');
sql($node, q{SELECT moemlora_grant('m', 'grantees')}, %db, user => 'owner');
sql($node, q{CREATE TABLE exported AS SELECT moemlora_export('m') AS model; GRANT SELECT ON exported TO PUBLIC}, %db);

# What a role may do: [query, what it answers, name]; each leaves things as they were.
my @uses = (
	[ q{SELECT moemlora_predict('m', 'place 1', s) > 0 FROM shown s LIMIT 1}, 't', 'predict, record' ],
	[ q{SELECT moemlora_predict('m', 'place 1', '{}'::jsonb) > 0}, 't', 'predict, jsonb' ],
	[ q{SELECT moemlora_predict('m', 'place 1', '{}') > 0}, 't', 'predict, text' ],
	[ q{SELECT count(moemlora_score) FROM (SELECT moemlora_score('m', place, s) OVER () FROM shown s) AS x}, '500', 'score' ],
	[ q{SELECT count(*) FROM moemlora_evaluate('m', 'shown', 'clicked', 'place')}, '6', 'evaluate' ],
	[ q{SELECT count(*) FROM moemlora_evaluate('m', 'shown', 'clicked', 'place', 1)}, '6', 'evaluate a version' ],
	[ q{SELECT moemlora_inspect('m') ? 'backbone'}, 't', 'inspect' ],
	[ q{SELECT length(moemlora_export('m', 1)) > 1000}, 't', 'export' ],
	[ q{SELECT count(*) FROM moemlora_compare(ARRAY['m', 'm@1'], 'shown', 'clicked', 'place')}, '12', 'compare' ],
	[ q{SELECT count(*) FROM moemlora_gates('m')}, '9', 'gates' ],
	[ q{SELECT count(*) > 4 FROM (SELECT s FROM shown s LIMIT 1) AS x, moemlora_explain('m', 'place 1', s)}, 't', 'explain' ],
	[ q{SELECT cardinality(moemlora_tensor('m', 'bias'))}, '1', 'tensor' ],
	[ q{SELECT moemlora_embedding('m', 'domain', 'place 1') IS NOT NULL}, 't', 'embedding' ]);
my @changes = map { [ "BEGIN; $_->[0]; ROLLBACK", $_->[1], $_->[2] ] } (
	[ train('m'), 't', 'train' ],
	[ q{SELECT moemlora_import('m', (SELECT model FROM exported))}, '3', 'import' ],
	[ q{SELECT moemlora_promote('m', 1)}, '', 'promote' ],
	[ q{SELECT moemlora_promote('m', 2)}, '', 'promote what is current' ],
	[ q{SELECT moemlora_rollback('m')}, '1', 'roll back' ],
	[ q{SELECT moemlora_drop_version('m', 1)}, '', 'drop a version' ],
	[ q{SELECT moemlora_prune('m', 0)}, '1', 'prune' ],
	[ q{SELECT moemlora_rename('m', 'renamed')}, '', 'rename' ],
	[ q{SELECT moemlora_grant('m', 'stranger')}, '', 'grant' ],
	[ q{SELECT moemlora_grant('m', current_user)}, '', 'grant to oneself' ],
	[ q{SELECT moemlora_revoke('m', 'grantees')}, '', 'revoke' ],
	[ q{SELECT moemlora_owner_to('m', current_user)}, '', 'become the owner' ],
	[ q{SELECT moemlora_drop('m')}, '', 'drop' ]);
my $views = join ' UNION ALL ', map { "SELECT count(*) > 0 FROM moemlora.$_->[0] WHERE $_->[1] = 'm'" }
  ([ 'models', 'name' ], map { [ $_, 'model' ] } qw(versions grants phases epochs domains));

sub check_rights
{
	my ($role, $may_use, $may_change, $when) = @_;

	foreach my $case ((map { [ $may_use, @$_ ] } @uses), (map { [ $may_change, @$_ ] } @changes))
	{
		my ($may, $query, $answer, $name) = @$case;

		if ($may)
		{
			is(sql($node, $query, %db, user => $role), $answer, "$when$role may $name");
		}
		else
		{
			refuses($node, $query, '42501', qr/permission denied for model "m"/, "$when$role may not $name", %db, user => $role);
		}
	}
	is(sql($node, $views, %db, user => $role), join("\n", ($may_use ? 't' : 'f') x 6),
		"$when$role sees it in " . ($may_use ? 'all' : 'none') . ' of the views');
	return;
}

check_rights('owner', 1, 1, '');
check_rights('member', 1, 1, '');
check_rights('member_of_member', 1, 1, '');
check_rights('boss', 1, 1, '');
check_rights('grantee', 1, 0, '');
check_rights('quiet', 0, 0, '');
check_rights('quiet_grantee', 0, 0, '');
check_rights('stranger', 0, 0, '');
check_rights('landlord', 0, 0, '');

# A grant to everybody.
sql($node, q{SELECT moemlora_grant('m', 'public')}, %db, user => 'member');
check_rights($_, 1, 0, 'granted to public: ') foreach 'stranger', 'quiet', 'landlord';
sql($node, q{SELECT moemlora_revoke('m', 'public')}, %db, user => 'member');
check_rights('stranger', 0, 0, 'revoked from public: ');

# Each role sees its own models only.
is(sql($node, 'SELECT string_agg(name, \', \' ORDER BY name) FROM moemlora.models', %db, user => $_->[0]),
	$_->[1], "models that $_->[0] sees")
  foreach [ 'owner', 'm' ], [ 'landlord', 'of another' ], [ 'stranger', '' ], [ 'boss', 'm, of another' ];

# A name that does not exist is the same error for everybody: nothing is learned from it.
refuses($node, q{SELECT moemlora_predict('no model', 'place 1', '{}')}, '42704', qr/model "no model" does not exist/,
	"$_ and a model that does not exist", %db, user => $_)
  foreach 'owner', 'stranger';

# The rights are those of the current role, call by call.
my $quiet = Moemlora::Session->new($node, %db, user => 'quiet');

like($quiet->errors(q{SELECT moemlora_predict('m', 'place 1', '{}')}), qr/ERROR:  42501/,
	'without inheriting: not as oneself');
is($quiet->ask(q{SET ROLE owner; SELECT moemlora_predict('m', 'place 1', '{}') > 0}), 't', 'but after SET ROLE');
like($quiet->errors(q{RESET ROLE; SELECT moemlora_predict('m', 'place 1', '{}')}), qr/ERROR:  42501/,
	'and not after RESET ROLE');
$quiet->close;
sql(
	$node, q{
	GRANT CREATE ON SCHEMA public TO owner;
	SET ROLE owner;
	CREATE FUNCTION lent(s shown) RETURNS real LANGUAGE sql SECURITY DEFINER
		AS $$SELECT moemlora_predict('m', 'place 1', s)$$;
	CREATE VIEW lent_view AS SELECT moemlora_predict('m', 'place 1', s) AS score FROM shown s;
	GRANT SELECT ON lent_view TO PUBLIC;
}, %db);
is(sql($node, 'SELECT count(lent(s)) FROM shown s', %db, user => 'stranger'), '500',
	'a SECURITY DEFINER function lends the right');
refuses($node, 'SELECT * FROM lent_view', '42501', qr/permission denied for model "m"/, 'a view does not', %db,
	user => 'stranger');

# A right that is taken away is gone for the next statement of a session that used it.
my $grantee = Moemlora::Session->new($node, %db, user => 'grantee');
my $loop = q{DO $$ BEGIN PERFORM moemlora_predict('m', 'place 1', '{}'); COMMIT; PERFORM pg_advisory_lock_shared(1);
	PERFORM pg_advisory_unlock_shared(1); PERFORM moemlora_predict('m', 'place 1', '{}'); END $$};

is($grantee->errors($loop), '', 'with the grant');
sql($node, 'REVOKE grantees FROM grantee', %db);
like($grantee->errors($loop), qr/ERROR:  42501/, 'without the membership');
sql($node, 'GRANT grantees TO grantee', %db);
my $lock = Moemlora::Session->new($node, %db);
$lock->ask('SELECT pg_advisory_lock(1)');
$grantee->send($loop);
ok($lock->ask_until_true(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}),
	'a loop waits');
sql($node, q{SELECT moemlora_revoke('m', 'grantees')}, %db, user => 'owner');
$lock->ask('SELECT pg_advisory_unlock(1)');
$grantee->wait;
like($grantee->errors, qr/ERROR:  42501/, 'a grant that is gone is gone in the middle of a loop');
$_->close foreach $grantee, $lock;

# The tables, and so the weights.
foreach my $role ('owner', 'stranger')
{
	refuses($node, "SELECT count(*) FROM moemlora.$_", '42501', qr/permission denied for table/,
		"$role cannot read table $_", %db, user => $role)
	  foreach qw(model grant version component feature domain phase epoch);
	refuses($node, $_, '42501', qr/permission denied for (?:table|sequence)/, "$role cannot: $_", %db, user => $role)
	  foreach q{UPDATE moemlora.model SET owner = current_user}, q{DELETE FROM moemlora.version},
	  q{INSERT INTO moemlora.grant SELECT 1, 'stranger'}, q{SELECT nextval('moemlora.model_id_seq')};
}
my $toast = sql($node, q{SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'moemlora.component'::regclass}, %db);

sql($node, 'CREATE SCHEMA yard; GRANT ALL ON SCHEMA yard TO PUBLIC', %db);
sql($node, 'ANALYZE moemlora.model, moemlora.version, moemlora.component, moemlora.domain', %db);
foreach my $role ('owner', 'grantee', 'stranger')
{
	refuses($node, $_, '42501', qr/permission denied for (?:table|schema)|must be owner/, "$role cannot: $_", %db,
		user => $role)
	  foreach "SELECT count(*) FROM $toast", 'COPY moemlora.component TO STDOUT',
	  'CREATE TABLE yard.probe (id bigint REFERENCES moemlora.version)',
	  'CREATE INDEX ON moemlora.component (octet_length(data))';
	is(sql($node, q{SELECT count(*) FROM pg_stats WHERE schemaname = 'moemlora'}, %db, user => $role), '0',
		"$role sees no statistics of the tables");
}
is(sql($node, 'SELECT count(*) > 0 FROM moemlora.component', %db, user => 'landlord'), 't',
	'the owner of the database can read them, for dumps');
refuses($node, $_, '42501', qr/permission denied for table/, "but not: $_", %db, user => 'landlord')
  foreach q{UPDATE moemlora.model SET owner = 'landlord'}, q{DELETE FROM moemlora.model},
  q{UPDATE moemlora.component SET crc = 1};
sql($node, q{INSERT INTO moemlora.model (name, owner, current_version, last_version) VALUES ('forged', 'owner', 1, 1)},
	%db, user => 'landlord');
is(sql($node, q{SELECT owner FROM moemlora.model WHERE name = 'forged'}, %db), 'landlord', 'and cannot forge an owner');
sql($node, q{DELETE FROM moemlora.model WHERE name = 'forged'}, %db);

# The views do not leak rows of others into functions that a query brings along.
sql($node, q{GRANT CREATE ON SCHEMA public TO stranger}, %db);
my $stranger = Moemlora::Session->new($node, %db, user => 'stranger');
my $leaked = $stranger->errors(q{
	CREATE FUNCTION leak(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
	BEGIN
		RAISE WARNING 'leaked %', t;
		RETURN true;
	END $$;
	SELECT count(*) FROM moemlora.models WHERE leak(name);
	SELECT count(*) FROM moemlora.versions WHERE leak(source);
	SELECT count(*) FROM moemlora.domains WHERE leak(domain)});
is($leaked, '', 'the views leak nothing into a condition');
$stranger->close;

# Giving a model away: to a role that one can become, as with tables.
sql($node, q{SELECT moemlora_grant('m', 'grantees')}, %db, user => 'owner');
refuses($node, q{SELECT moemlora_owner_to('m', 'stranger')}, '42501', qr/role "stranger"/i,
	'an owner cannot give a model to a role that is not his', %db, user => 'owner');
sql($node, q{SELECT moemlora_owner_to('m', 'member')}, %db, user => 'member');
refuses($node, q{SELECT moemlora_rollback('m')}, '42501', qr/permission denied for model "m"/,
	'after that the owner before has no right', %db, user => 'owner');
sql($node, q{SELECT moemlora_owner_to('m', 'owner')}, %db, user => 'member');
check_rights('owner', 1, 1, 'given back: ');
check_rights('grantee', 1, 0, 'given back: ');

# Roles and what they own: REASSIGN OWNED and DROP OWNED know nothing of models, and DROP ROLE is not held up by them.
sql($node, 'REASSIGN OWNED BY owner TO stranger', %db);
check_rights('owner', 1, 1, 'REASSIGN OWNED: ');
check_rights('stranger', 0, 0, 'REASSIGN OWNED: ');
sql($node, 'DROP OWNED BY owner, grantees', %db);
check_rights('owner', 1, 1, 'DROP OWNED: ');
check_rights('grantee', 1, 0, 'DROP OWNED: ');

# A grantee goes.  Its right goes by the name, and can be taken back.
sql($node, 'DROP ROLE grantees', %db);
check_rights('grantee', 0, 0, 'without the role of the grant: ');
is(sql($node, 'SELECT * FROM moemlora.grants', %db, user => 'owner'), 'm|grantees|f', 'the owner sees whom it was for');
sql($node, 'CREATE ROLE grantees; GRANT grantees TO grantee', %db);
check_rights('grantee', 1, 0, 'with a new role of that name: ');
sql($node, 'ALTER ROLE grantees RENAME TO others', %db);
check_rights('grantee', 0, 0, 'with the role renamed: ');
sql($node, q{SELECT moemlora_revoke('m', 'grantees')}, %db, user => 'owner');
sql($node, 'ALTER ROLE others RENAME TO grantees', %db);
check_rights('grantee', 0, 0, 'after revoke: ');
sql($node, q{SELECT moemlora_grant('m', 'grantees')}, %db, user => 'owner');

# The owner goes, in a transaction that takes it back first.
sql($node, 'BEGIN; DROP ROLE owner; ROLLBACK', %db);
check_rights('owner', 1, 1, 'not dropped after all: ');
sql($node, 'DROP ROLE owner', %db);
check_rights('boss', 1, 1, 'without owner: ');
check_rights('landlord', 1, 1, 'without owner: ');
check_rights('grantee', 1, 0, 'without owner: ');
check_rights('member', 0, 0, 'without owner: ');
check_rights('stranger', 0, 0, 'without owner: ');
refuses($node, q{SELECT moemlora_promote('m', 1)}, '42501', qr/"owner" no longer exists.*moemlora_owner_to/s,
	'what a role without rights hears', %db, user => 'stranger');
refuses($node, q{SELECT moemlora_owner_to('m', 'stranger')}, '42501', qr/role "stranger"/i,
	'the owner of the database gives it to roles of his own only', %db, user => 'landlord');
sql($node, q{SELECT moemlora_owner_to('m', 'landlord')}, %db, user => 'landlord');
check_rights('landlord', 1, 1, 'mended: ');
check_rights('stranger', 0, 0, 'mended: ');
sql($node, q{SELECT moemlora_owner_to('m', 'stranger')}, %db, user => 'boss');
check_rights('stranger', 1, 1, 'given by a superuser: ');
check_rights('landlord', 0, 0, 'given by a superuser: ');
check_rights('grantee', 1, 0, 'given by a superuser: ');

finish($node);
