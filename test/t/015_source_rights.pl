# A source is read with the rights of the caller: ordinary errors where they do
# not suffice, and row level security as in any query.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Test::More;

my $node = new_server('source_rights');

sql(
	$node, q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE TABLE shown AS
	SELECT i AS id, i % 50 AS user_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked,
		   (ARRAY['alice', 'bob'])[1 + (i % 4 > 0)::int] AS visible_to
	FROM generate_series(1, 2000) AS i;
	CREATE VIEW narrow AS SELECT user_id, place, clicked FROM shown;
	CREATE FUNCTION rows_of_owner() RETURNS SETOF narrow LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM narrow';
	REVOKE ALL ON FUNCTION rows_of_owner FROM PUBLIC;
});

sub train
{
	my ($source) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train(current_user || '''s', \$s\$$source\$s\$, 'clicked', 'place',
		ARRAY['user_id'], '{"epochs": 1, "hidden": [4], "method": "backbone"}')};
}

my $rows = q{SELECT rows FROM moemlora.versions WHERE model = current_user || '''s'
	ORDER BY version DESC LIMIT 1};

sub evaluate
{
	my ($source) = @_;

	return qq{SELECT rows FROM moemlora_evaluate(current_user || '''s', \$s\$$source\$s\$, 'clicked', 'place')
		WHERE scope = 'all'};
}

# Nothing granted, then little, then enough.
my %alice = (user => 'alice');

refuses($node, train('shown'), '42501', qr/permission denied for table shown/, 'no right to the table: train', %alice);
refuses($node, train('narrow'), '42501', qr/permission denied for view narrow/, 'no right to the view: train', %alice);
refuses($node, train('rows_of_owner()'), '42501', qr/permission denied for function rows_of_owner/,
	'no right to the function: train', %alice);
is(sql($node, 'SELECT count(*) FROM moemlora.models'), '0', 'no model came of it');
sql($node, 'GRANT SELECT (user_id, place, clicked) ON shown TO alice');
refuses($node, train('shown'), '42501', qr/permission denied for table shown/,
	'all columns of the table need more than some', %alice);
is(sql($node, train('(SELECT user_id, place, clicked FROM shown)'), %alice), 't', 'the columns granted suffice');
refuses($node, evaluate('narrow'), '42501', qr/permission denied for view narrow/,
	'no right to the view: evaluate', %alice);
refuses($node, q{SELECT * FROM moemlora_importance('alice''s', 'narrow', 'clicked', 'place')}, '42501',
	qr/permission denied for view narrow/, 'no right to the view: importance', %alice);
refuses($node, q{SELECT * FROM moemlora_drift('alice''s', 'narrow', 'place')}, '42501',
	qr/permission denied for view narrow/, 'no right to the view: drift', %alice);
is(sql($node, evaluate('(SELECT user_id, place, clicked FROM shown)'), %alice), '2000',
	'the columns granted suffice to evaluate');
sql($node, 'GRANT SELECT ON narrow TO alice; GRANT EXECUTE ON FUNCTION rows_of_owner TO alice');
is(sql($node, train($_), %alice), 't', "$_ lends its owner's right") foreach 'narrow', 'rows_of_owner()';

# Row level security.
sql(
	$node, q{
	GRANT SELECT ON shown TO alice, bob;
	ALTER TABLE shown ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own_rows ON shown USING (visible_to = current_user);
});
foreach my $case ([ 'alice', 500 ], [ 'bob', 1500 ])
{
	my ($role, $n) = @$case;

	is(sql($node, train('shown'), user => $role), 't', "$role trains under row level security");
	is(sql($node, $rows, user => $role), $n, "on the rows that $role may see");
	is(sql($node, evaluate('shown'), user => $role), $n, "$role evaluates on those rows");
}
sql($node, q{SELECT moemlora_grant('alice''s', 'bob')}, %alice);
is( sql($node, q{SELECT rows FROM moemlora_evaluate('alice''s', 'shown', 'clicked', 'place') WHERE scope = 'all'},
		user => 'bob'),
	'1500', 'who evaluates the model of another reads his own rows');
is( sql($node, q{SELECT rows FROM moemlora_importance('alice''s', 'shown', 'clicked', 'place') WHERE domain IS NULL},
		user => 'bob'),
	'1500', 'so does who asks what is important in it');
is( sql($node, q{SELECT rows FROM moemlora_drift('alice''s', 'shown', 'place') WHERE domain IS NULL AND feature IS NULL},
		user => 'bob'),
	'1500', 'and who asks how far its rows have moved');
is(sql($node, train('shown')), 't', 'a superuser trains');
is(sql($node, $rows), '2000', 'on all rows');
refuses($node, 'SET row_security = off; ' . train('shown'), '42501', qr/row-level security/,
	'row_security = off is an error, not less rows', %alice);

# A function with its owner's rights trains with them, and for its owner.
sql(
	$node, q{
	CREATE FUNCTION train_for_bob() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
		SELECT current_user || ' ' || count(*) FROM moemlora_train('lent', 'shown', 'clicked', 'place', ARRAY['user_id'],
			'{"epochs": 1, "hidden": [4], "method": "backbone"}')
	$$;
	ALTER FUNCTION train_for_bob OWNER TO bob;
});
is(sql($node, 'SELECT train_for_bob()', %alice), 'bob 1', 'a SECURITY DEFINER function may train');
is(sql($node, q{SELECT owner || ' ' || rows FROM moemlora.models WHERE name = 'lent'}), 'bob 1500',
	'as its owner, on its rows');
refuses($node, q{SELECT moemlora_predict('lent', 'place 1', '{"user_id": 7}')}, '42501',
	qr/permission denied for model "lent"/,
	'and the caller has no right to the model', %alice);

finish($node);
