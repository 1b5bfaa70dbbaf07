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

# What a role may do: [function, query, what it answers, name]; each leaves things as they were.
my @uses = (
	[ 'predict(text,text,record)', q{SELECT moemlora_predict('m', 'place 1', s) > 0 FROM shown s LIMIT 1}, 't', 'predict, record' ],
	[ 'predict(text,text,jsonb)', q{SELECT moemlora_predict('m', 'place 1', '{}'::jsonb) > 0}, 't', 'predict, jsonb' ],
	[ 'predict(text,text,text)', q{SELECT moemlora_predict('m', 'place 1', '{}') > 0}, 't', 'predict, text' ],
	[
		'score(text,text,record)',
		q{SELECT count(moemlora_score) FROM (SELECT moemlora_score('m', place, s) OVER () FROM shown s) AS x},
		'500', 'score'
	],
	[
		'evaluate(text,text,text,text,integer)',
		q{SELECT count(*) FROM moemlora_evaluate('m', 'shown', 'clicked', 'place')},
		'6', 'evaluate'
	],
	[
		'evaluate(text,text,text,text,integer)',
		q{SELECT count(*) FROM moemlora_evaluate('m', 'shown', 'clicked', 'place', 1)},
		'6', 'evaluate a version'
	],
	[ 'inspect(text,integer)', q{SELECT moemlora_inspect('m') ? 'backbone'}, 't', 'inspect' ],
	[ 'export(text,integer)', q{SELECT length(moemlora_export('m', 1)) > 1000}, 't', 'export' ],
	[
		'compare(text[],text,text,text)',
		q{SELECT count(*) FROM moemlora_compare(ARRAY['m', 'm@1'], 'shown', 'clicked', 'place')},
		'12', 'compare'
	],
	[
		'importance(text,text,text,text,integer)',
		q{SELECT count(*) > 4 FROM moemlora_importance('m', 'shown', 'clicked', 'place')},
		't', 'importance'
	],
	[ 'drift(text,text,text)', q{SELECT count(*) > 4 FROM moemlora_drift('m', 'shown', 'place')}, 't', 'drift' ],
	[ 'gates(text,integer)', q{SELECT count(*) FROM moemlora_gates('m')}, '9', 'gates' ],
	[ 'report(text,text)', q{SELECT moemlora_report('m') LIKE '%<h1><bdi>m</bdi></h1>%'}, 't', 'report' ],
	[
		'report(text,text)',
		q{SELECT moemlora_report('m@1', 'shown') LIKE '%Measured on the 500 rows of the source%'},
		't', 'report on rows'
	],
	[
		'explain(text,text,record)',
		q{SELECT count(*) > 4 FROM (SELECT s FROM shown s LIMIT 1) AS x, moemlora_explain('m', 'place 1', s)},
		't', 'explain'
	],
	[ 'tensor(text,text)', q{SELECT cardinality(moemlora_tensor('m', 'bias'))}, '1', 'tensor' ],
	[ 'embedding(text,text,text)', q{SELECT moemlora_embedding('m', 'domain', 'place 1') IS NOT NULL}, 't', 'embedding' ],
	[
		'embedding(text,text,anyelement)',
		q{SELECT moemlora_embedding('m', 'user_id', 7) IS NOT NULL},
		't', 'embedding of a number'
	]);
my @changes = map { [ $_->[0], "BEGIN; $_->[1]; ROLLBACK", $_->[2], $_->[3] ] } (
	[ 'train(text,text,text,text,text[],jsonb)', train('m'), 't', 'train' ],
	[
		'add_domain(text,text,text,jsonb)',
		q{SELECT count(*) > 0 FROM moemlora_add_domain('m', 'new', $$(SELECT user_id, id, clicked, 'new' AS place FROM shown)$$,
			'{"epochs": 1}')},
		't', 'add a domain'
	],
	[ 'retrain(text,jsonb)', q{CALL moemlora_retrain('m')}, '', 'retrain' ],
	[ 'import(text,bytea)', q{SELECT moemlora_import('m', (SELECT model FROM exported))}, '3', 'import' ],
	[ 'promote(text,integer)', q{SELECT moemlora_promote('m', 1)}, '', 'promote' ],
	[ 'promote(text,integer)', q{SELECT moemlora_promote('m', 2)}, '', 'promote what is current' ],
	[ 'rollback(text)', q{SELECT moemlora_rollback('m')}, '1', 'roll back' ],
	[ 'drop_version(text,integer)', q{SELECT moemlora_drop_version('m', 1)}, '', 'drop a version' ],
	[ 'prune(text,integer)', q{SELECT moemlora_prune('m', 0)}, '1', 'prune' ],
	[ 'rename(text,text)', q{SELECT moemlora_rename('m', 'renamed')}, '', 'rename' ],
	[ 'grant(text,name)', q{SELECT moemlora_grant('m', 'stranger')}, '', 'grant' ],
	[ 'grant(text,name)', q{SELECT moemlora_grant('m', current_user)}, '', 'grant to oneself' ],
	[ 'revoke(text,name)', q{SELECT moemlora_revoke('m', 'grantees')}, '', 'revoke' ],
	[ 'owner_to(text,name)', q{SELECT moemlora_owner_to('m', current_user)}, '', 'become the owner' ],
	[ 'drop(text)', q{SELECT moemlora_drop('m')}, '', 'drop' ]);

# What needs no right to a model: whoever reads a value has it.
my @values = (
	[
		'tune(text,text,text,text[],jsonb,double precision)',
		q{SELECT count(*) FROM moemlora_tune('shown', 'clicked', 'place', ARRAY['user_id'], '{"epochs": 1, "hidden": [4], "method": "backbone"}')},
		'1'
	],
	[ 'inspect(bytea)', q{SELECT moemlora_inspect(model) ? 'backbone' FROM exported}, 't' ],
	[ 'predict(bytea,text,record)', q{SELECT moemlora_predict(model, 'place 1', ROW(1, 7)) > 0 FROM exported}, 't' ],
	[ 'predict(bytea,text,jsonb)', q{SELECT moemlora_predict(model, 'place 1', '{}'::jsonb) > 0 FROM exported}, 't' ],
	[ 'predict(bytea,text,text)', q{SELECT moemlora_predict(model, 'place 1', '{}') > 0 FROM exported}, 't' ],
	[
		'score(bytea,text,record)',
		q{SELECT count(s) FROM (SELECT moemlora_score((SELECT model FROM exported), place, s) OVER () AS s FROM shown s) AS x},
		'500'
	],
	(
		map {
			my ($arguments, $label) = @$_;

			map { [ "$_($arguments)", "SELECT moemlora_$_(0.25::float8, $label)", $_ eq 'auc' ? '' : '0.2876820724517809' ] }
			  qw(auc logloss)
		} ([ 'double precision,boolean', 'false' ], [ 'double precision,integer', '0' ],
			[ 'double precision,double precision', '0::float8' ])),
	(
		map {
			my ($arguments, $label, $options) = @$_;

			[ "fit($arguments)", "SELECT length(moemlora_fit($label, place, ROW(user_id)$options)) > 1000 FROM shown", 't' ]
		} ([ 'boolean,text,record', 'clicked', '' ], [ 'double precision,text,record', 'clicked::int::float8', '' ],
			[ 'boolean,text,record,jsonb', 'clicked', q{, '{"epochs": 1}'} ],
			[ 'double precision,text,record,jsonb', 'clicked::int::float8', q{, '{"epochs": 1}'} ])));

my $views = join ' UNION ALL ', map { "SELECT count(*) > 0 FROM moemlora.$_->[0] WHERE $_->[1] = 'm'" }
  ([ 'models', 'name' ], map { [ $_, 'model' ] } qw(versions grants phases epochs domains));

# One test: what a query of a session answers, or that it fails so.
sub answers
{
	my ($session, $query, $answer, $name) = @_;
	my $out = $session->ask($query);
	my ($error) = $session->errors =~ /^.*?ERROR:  (.*)/s;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ref $answer ? like($error // "no error: $out", $answer, $name) : is($error // $out, $answer, $name);
}

sub check_rights
{
	my ($role, $may_use, $may_change, $when) = @_;
	my $session = Moemlora::Session->new($node, %db, user => $role);
	my $denied = qr/^42501: permission denied for model "m"/;
	my ($id, $owner, $is_there) = split /\|/, sql($node, q{SELECT id, owner, EXISTS (SELECT FROM pg_roles WHERE rolname = owner)
		FROM moemlora.model WHERE name = 'm'}, %db);

	foreach my $case ((map { [ $may_use, @$_ ] } @uses), (map { [ $may_change, @$_ ] } @changes))
	{
		my ($may, $function, $query, $answer, $name) = @$case;

		# There is nobody with whose rights to read the source.
		$answer = qr/^42704: the owner of model "m" does not exist/ if $name eq 'retrain' && $is_there eq 'f';
		answers($session, $query, $may ? $answer : $denied, "$when$role " . ($may ? 'may' : 'may not') . " $name");
	}
	answers($session, "SELECT moemlora_may_use($id, '$owner')", $may_use ? 't' : 'f', "$when$role hears so from may_use");
	answers($session, $views, join("\n", ($may_use ? 't' : 'f') x 6),
		"$when$role sees it in " . ($may_use ? 'all' : 'none') . ' of the views');
	$session->close;
	return;
}

# No function without its line above.
sub in_matrix
{
	my %seen = map { $_->[0] => 1 } @uses, @changes, @values, ['may_use(bigint,name)'];

	return join "\n", sort keys %seen;
}

is(in_matrix(), join("\n", functions($node, %db)), 'every function of the extension is tried by every kind of role');

check_rights('owner', 1, 1, '');
check_rights('member', 1, 1, '');
check_rights('member_of_member', 1, 1, '');
check_rights('boss', 1, 1, '');
check_rights('grantee', 1, 0, '');
check_rights('quiet', 0, 0, '');
check_rights('quiet_grantee', 0, 0, '');
check_rights('stranger', 0, 0, '');
check_rights('landlord', 0, 0, '');

foreach my $role (qw(owner member boss grantee quiet stranger landlord))
{
	my $session = Moemlora::Session->new($node, %db, user => $role);

	answers($session, $_->[1], $_->[2], "$role: $_->[0]") foreach @values;
	$session->close;
}

# What only the server calls is there for nobody.
my $caller = Moemlora::Session->new($node, %db, user => 'stranger');

foreach my $part (functions($node, %db, parts => 1))
{
	my ($name, @arguments) = $part =~ /[^(),]+/g;
	my $call = "SELECT moemlora_$name(" . join(', ', map { $_ eq 'internal' ? 'NULL' : "NULL::$_" } @arguments) . ')';

	answers($caller, $call, qr/^(?:42883: .*does not exist|0A000: cannot accept a value of type internal|39P01: )/, "stranger may not $part");
}
$caller->close;

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
	SELECT count(*) FROM moemlora.versions WHERE leak(served);
	SELECT count(*) FROM moemlora.cards WHERE leak(value);
	SELECT count(*) FROM moemlora.decisions WHERE leak(reason);
	SELECT count(*) FROM moemlora.epochs WHERE leak(phase);
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

# A role goes while it trains.  What it was before is gone in the end: a model of its own takes no version any more, and
# a new one is not left to whoever gets that name.
my $gate = Moemlora::Session->new($node, %db);

sql($node, 'CREATE ROLE leaving LOGIN', %db);
sql($node, train('left'), %db, user => 'leaving');
foreach my $case ([ 'left', qr/^42501: permission denied for model "left"\nDETAIL:  Its owner "leaving" no longer exists/, 'leaving|1' ],
	[ 'late', 't', sql($node, q{SELECT relowner::regrole FROM pg_class WHERE oid = 'moemlora.model'::regclass}, %db) . '|1' ])
{
	my ($model, $answer, $kept) = @$case;
	my $waiting = '(SELECT s.* FROM shown AS s, (SELECT pg_advisory_xact_lock_shared(1)) AS l)';

	sql($node, 'CREATE ROLE leaving LOGIN', %db) if $model eq 'late';
	my $leaving = Moemlora::Session->new($node, %db, user => 'leaving');

	$gate->ask('SELECT pg_advisory_lock(1)');
	$leaving->send(train($model) =~ s/'shown'/'$waiting'/r);
	ok($gate->ask_until_true(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted}),
		"a role trains model $model");
	$gate->ask('DROP ROLE leaving; SELECT pg_advisory_unlock(1)');
	my $out = $leaving->wait;
	my ($error) = $leaving->errors =~ /ERROR:  (.*)/s;

	ref $answer ? like($error, $answer, "gone: $model") : is($error // $out, $answer, "gone: $model");
	$leaving->close;
	is(sql($node, "SELECT owner, current_version FROM moemlora.models WHERE name = '$model'", %db), $kept, "$model is sound");
	is(sql($node, "SELECT moemlora_owner_to('$model', 'stranger')", %db, user => 'boss'), '', "$model can be given away");
	is(sql($node, train($model), %db, user => 'stranger'), 't', "and $model is trained on");
}
$gate->close;

finish($node);
