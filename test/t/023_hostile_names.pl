# Names made of quotes and SQL, of models, columns, domains and roles, are names
# to every function; and overloads of the server's functions and operators in
# schema public, where the victim's search_path finds them, run in none of ours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('hostile_names');

sql($node, q{
	CREATE ROLE mallory LOGIN;
	CREATE ROLE alice LOGIN;
	GRANT CREATE ON SCHEMA public TO mallory, alice});
make_rows($node, 300);

# What fits better than the server's own polymorphic functions is taken before them.
my $mallory = Moemlora::Session->new($node, user => 'mallory');
my $alice = Moemlora::Session->new($node, user => 'alice');
my @overloads = map { [ $_->[0], "CREATE FUNCTION public.$_->[0] RETURNS $_->[1]" ] } (
	[ 'array_append(integer[], integer)', 'integer[]' ],
	[ 'array_remove(integer[], integer)', 'integer[]' ],
	[ 'trim_array(integer[], integer)', 'integer[]' ],
	[ 'cardinality(integer[])', 'integer' ],
	[ 'unnest(integer[])', 'SETOF integer' ],
	[ 'jsonb_build_object(text, text, text, text, text, text, text, text[], text, jsonb, text, text)', 'jsonb' ],
	[ 'string_agg(text, text)', 'text' ],
	[ 'moemlora_may_use(bigint, text)', 'boolean' ],
	[ 'moemlora_guard_role(text)', 'text' ],
	[ 'int8(integer)', 'bigint' ],
	[ 'name(text)', 'name' ],
	[ 'text(name)', 'text' ]);

foreach my $overload (@overloads)
{
	is( $mallory->errors(qq{
			$overload->[1] LANGUAGE plpgsql AS \$\$
			BEGIN
				RAISE WARNING 'trap: % as %', \$q\$$overload->[0]\$q\$, current_user;
			END \$\$}),
		'', "an overload of $overload->[0]");
}
foreach my $types ([ 'text', 'name' ], [ 'name', 'text' ], [ 'integer', 'bigint' ], [ 'bigint', 'integer' ])
{
	is( $mallory->errors(qq{
			CREATE FUNCTION public.equal(a $types->[0], b $types->[1]) RETURNS boolean LANGUAGE plpgsql AS \$\$
			BEGIN
				RAISE WARNING 'trap: = as %', current_user;
				RETURN true;
			END \$\$;
			CREATE OPERATOR public.= (LEFTARG = $types->[0], RIGHTARG = $types->[1], FUNCTION = public.equal)}),
		'', "an operator = of @$types");
}
$alice->ask('SET search_path = public, pg_catalog');
like($alice->errors('SELECT array_append(ARRAY[1], 2)'), qr/trap: array_append\S* \S+ as alice/,
	'the victim steps into such a trap');
like($alice->errors('SELECT 1::bigint = 1::integer'), qr/trap: = as alice/, 'and into such an operator');

my @names = (
	q{'}, q{"}, q{''}, q{\\}, q{$1}, q{%s%n%d}, q{*/ SELECT 1; /*}, q{--}, q{$$}, q{{"a": 1}},
	q{'; DROP TABLE public.shown; --}, q{"; DROP TABLE public.shown; --}, q{m' OR 'a' = 'a}, q{$statement$ || x});

sub quoted
{
	my ($text) = @_;

	return 'pg_catalog.convert_from(\'\x' . unpack('H*', $text) . "', 'UTF8')";
}

sub identifier
{
	my ($text) = @_;

	return '"' . $text =~ s/"/""/gr . '"';
}

# One test: the session answers so, without an error or warning.
sub answers
{
	my ($query, $answer, $name) = @_;
	my $out = $alice->ask($query);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($out . $alice->errors, $answer, $name);
}

# Model, column, domain and role all have the name, and each function gets it.
foreach my $i (0 .. $#names)
{
	my ($name, $next) = @names[ $i, ($i + 1) % @names ];
	my ($model, $other) = (quoted($name), quoted($next));
	my $column = identifier($name);
	my $query = "(SELECT user_id AS $column, clicked AS ${\identifier(qq{${name}y})}, place OPERATOR(pg_catalog.||) $model"
	  . " AS ${\identifier(qq{${name}d})} FROM public.shown)";
	my $train = "SELECT pg_catalog.count(*) FROM moemlora_train($model, ${\quoted($query)}, ${\quoted(qq{${name}y})},"
	  . " ${\quoted(qq{${name}d})}, ARRAY[$model], '{\"epochs\": 1, \"hidden\": [4], \"method\": \"mlora\"}')";
	my $added = $query =~ s/place OPERATOR\(pg_catalog\.\|\|\) //r;

	sql($node, "CREATE ROLE $column");
	answers($train, '1', "train: $name") foreach 1, 2;
	answers("BEGIN; SELECT pg_catalog.count(*) FROM moemlora_add_domain($model, $model, ${\quoted($added)},"
		  . " '{\"epochs\": 1}'); ROLLBACK", '2', "add_domain: $name");
	answers("SELECT moemlora_predict($model, ${\quoted(qq{place 1$name})}, r) BETWEEN 0 AND 1 FROM (SELECT 7 AS $column) AS r",
		't', "predict: $name");
	answers("SELECT pg_catalog.count(*) FROM moemlora_evaluate($model, ${\quoted($query)}, ${\quoted(qq{${name}y})},"
		  . " ${\quoted(qq{${name}d})})", '6', "evaluate: $name");
	answers("SELECT pg_catalog.count(*) FROM moemlora_compare(ARRAY[$model, $model OPERATOR(pg_catalog.||) '\@1'], ${\quoted($query)},"
		  . " ${\quoted(qq{${name}y})}, ${\quoted(qq{${name}d})})", '12', "compare: $name");
	answers("SELECT DISTINCT feature FROM moemlora_importance($model, ${\quoted($query)}, ${\quoted(qq{${name}y})},"
		  . " ${\quoted(qq{${name}d})})", $name, "importance: $name");
	answers("SELECT DISTINCT feature FROM moemlora_drift($model, ${\quoted($query)}, ${\quoted(qq{${name}d})})"
		  . " WHERE feature OPERATOR(pg_catalog.<>) ${\quoted(qq{${name}d})}", $name, "drift: $name");
	answers("SELECT pg_catalog.count(*) FROM moemlora_tune(${\quoted($query)}, ${\quoted(qq{${name}y})}, ${\quoted(qq{${name}d})},"
		  . " ARRAY[$model], '{\"epochs\": 1, \"hidden\": [4], \"method\": [\"backbone\", \"mlora\"]}')", '2', "tune: $name");
	answers("SELECT pg_catalog.strpos(moemlora_report($model), 'Measured on all 300 rows') OPERATOR(pg_catalog.>) 0", 't',
		"report: $name");
	answers("SELECT moemlora_embedding($model, $model, 7) IS NOT NULL", 't', "embedding: $name");
	answers("SELECT name FROM (SELECT 7 AS $column) AS r, moemlora_explain($model, 'x', r)"
		  . " WHERE component OPERATOR(pg_catalog.=) 'feature'", $name, "explain: $name");
	answers("SELECT moemlora_promote($model, 1)", '', "promote: $name");
	answers("SELECT moemlora_rollback($model)", '2', "rollback: $name");
	answers("SELECT moemlora_grant($model, $model\:\:pg_catalog.name)", '', "grant: $name");
	answers("SELECT grantee FROM moemlora.grants WHERE role_exists", $name, "it is there: $name");
	answers("SELECT moemlora_revoke($model, $model\:\:pg_catalog.name)", '', "revoke: $name");
	answers("SELECT moemlora_rename($model, $other)", '', "rename: $name");
	answers("SELECT moemlora_drop_version($other, 1)", '', "drop_version: $next");
	answers("SELECT moemlora_prune($other, 1)", '0', "prune: $next");
	sql($node, "GRANT $column TO alice");
	answers("SELECT moemlora_owner_to($other, $model\:\:pg_catalog.name)", '', "owner_to: $name");
	answers('SELECT name, owner FROM moemlora.models', "$next|$name", "it is so: $name");
	answers("SELECT moemlora_drop($other)", '', "drop: $next");
}
is(sql($node, 'SELECT count(*) FROM shown'), '300', 'nothing of it was run');
is(sql($node, 'SELECT count(*) FROM moemlora.model'), '0', 'all models are gone');

# An error shows such a name as it is.
foreach my $name (@names)
{
	like($alice->errors("SELECT moemlora_promote(${\quoted($name)}, 1)"), qr/ERROR:  42704: model "\Q$name\E" does not exist/,
		"an error names $name");
}

$_->close foreach $mallory, $alice;
finish($node);
