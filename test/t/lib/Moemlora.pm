# Moemlora.pm - what the TAP tests share: a server with the extension, queries
# as any role, planted clicks, and a fingerprint of everything that is stored.
#
# Sessions that run beside the test: Moemlora/Session.pm.

package Moemlora;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server finish sql refuses make_rows plant_clicks catalog stored_bytes functions readme);

# A running server whose database postgres has the extension.
# Options: settings (lines of postgresql.conf), initdb (options), streaming, no_extension.
sub new_server
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(
		extra => [ '-E', 'UTF8', '--no-locale', @{ $options{initdb} // [] } ],
		allows_streaming => $options{streaming});
	$node->append_conf('postgresql.conf', "autovacuum = off\njit = off\n" . ($options{settings} // ''));
	$node->start;
	sql($node, 'CREATE EXTENSION moemlora') unless $options{no_extension};
	return $node;
}

# The last line of a test: no process of the server may have died.
sub finish
{
	my (@nodes) = @_;

	foreach my $node (@nodes)
	{
		my @deaths = grep { /was terminated by signal|PANIC:|TRAP:/ } split /\n/, slurp_file($node->logfile);

		is(join("\n", @deaths), '', 'no process of server ' . $node->name . ' has died');
		$node->stop('fast');
	}
	done_testing();
	return;
}

# Output, errors and exit status of a query.  Options: db, user, notices.
sub _run
{
	my ($node, $query, %options) = @_;
	my ($out, $err) = ('', '');

	local $ENV{PGUSER} = $options{user} // $ENV{PGUSER};
	delete $ENV{PGUSER} unless defined $ENV{PGUSER};
	local $ENV{PGOPTIONS} = '-c client_min_messages=' . ($options{notices} ? 'notice' : 'warning');
	my $status = $node->psql(
		$options{db} // 'postgres', $query,
		stdout => \$out, stderr => \$err,
		extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never' ]);
	return ($out, $err, $status);
}

# What a query prints; the test dies when it fails.
sub sql
{
	my ($node, $query, %options) = @_;
	my ($out, $err, $status) = _run($node, $query, %options);

	die "query failed: $err\n$query" if $status != 0;
	return $options{notices} ? $err : $out;
}

# One test: the query fails with that SQLSTATE, and the message with its detail and hint is like that.
sub refuses
{
	my ($node, $query, $sqlstate, $like, $name, %options) = @_;
	my ($out, $err, $status) = _run($node, $query, %options);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	if ($status == 0)
	{
		fail($name);
		diag("no error; output: $out");
		return;
	}
	return like($err, qr/ERROR:  \Q$sqlstate\E: .*$like/s, $name);
}

# Makes table shown of n rows, for tests to which it does not matter what there is to learn.
sub make_rows
{
	my ($node, $n, %options) = @_;

	return sql(
		$node, qq{
		CREATE TABLE shown AS
		SELECT i AS id, i % 50 AS user_id, 'place ' || i % 3 AS place, i * 7 % 11 < 4 AS clicked
		FROM generate_series(1, $n) AS i;
		GRANT SELECT ON shown TO PUBLIC;
	}, %options);
}

# Makes functions uniform, normal and clicks; the latter draws rows from a known model.
#
# clicks(n, n_places, own, seed): 200 users, 100 items.  What an item is worth,
# and how a price acts, is the same in all places to a share of 1 - own, and the
# place's own matter to a share of own.  Place "noise" tosses coins.  Column p:
# the probability that the click was drawn with.
sub plant_clicks
{
	my ($node, %options) = @_;

	return sql(
		$node, q{
		CREATE FUNCTION uniform(purpose text, n bigint, seed int) RETURNS float8
		LANGUAGE sql IMMUTABLE PARALLEL SAFE
		RETURN (((hashtextextended(purpose || n, seed) >> 12) & 4503599627370495) + 0.5) / 4503599627370496;

		CREATE FUNCTION normal(purpose text, n bigint, seed int) RETURNS float8
		LANGUAGE sql IMMUTABLE PARALLEL SAFE
		RETURN sqrt(-2 * ln(uniform(purpose || ' radius ', n, seed)))
			   * cos(2 * pi() * uniform(purpose || ' angle ', n, seed));

		CREATE FUNCTION clicks(n int, n_places int, own float8, seed int)
		RETURNS TABLE (id int, user_id int, item_id int, price real, place text, p float8, clicked boolean)
		LANGUAGE sql AS $$
			WITH users AS MATERIALIZED (
				SELECT user_id, 0.7 * normal('activity', user_id, seed) AS activity
				FROM generate_series(1, 200) AS user_id
			), worths AS MATERIALIZED (
				SELECT item_id, k,
					   1.5 * ((1 - own) * normal('everywhere', item_id, seed)
							  + own * normal('item ' || item_id || ' in ', k, seed)) AS worth,
					   0.8 * own * normal('price in ', k, seed) AS slope
				FROM generate_series(1, 100) AS item_id, generate_series(0, n_places - 1) AS k
			), shown AS (
				SELECT id, (1 + floor(200 * uniform('user', id, seed)))::int AS user_id,
					   (1 + floor(100 * uniform('item', id, seed)))::int AS item_id,
					   floor(n_places * uniform('place', id, seed))::int AS k,
					   normal('price', id, seed)::real AS price
				FROM generate_series(1, n) AS id
			), drawn AS (
				SELECT id, user_id, item_id, price, k,
					   CASE WHEN k = 0 THEN 0.4 ELSE 1 / (1 + exp(-(activity + worth + slope * price))) END AS p
				FROM shown JOIN users USING (user_id) JOIN worths USING (item_id, k)
			)
			SELECT id, user_id, item_id, price, CASE WHEN k = 0 THEN 'noise' ELSE 'place ' || k END, p,
				   uniform('click', id, seed) < p
			FROM drawn
		$$;
	}, %options);
}

# Everything in the catalog tables, as text that two calls can compare.
sub catalog
{
	my ($node, %options) = @_;
	my $columns = 'version_id, kind, name, part, crc, octet_length(data)';

	return join "\n", map {
		my $row = $_ eq 'component' ? "ROW($columns)" : 't';
		sql($node,
			"SELECT '$_', count(*), sum(hashtextextended($row\:\:text, 0)::numeric) FROM moemlora.$_ AS t",
			%options);
	} qw(model grant version component feature domain phase epoch);
}

# The stored bytes of a model's current version, as a checksum.
sub stored_bytes
{
	my ($node, $model, %options) = @_;

	return sql(
		$node, qq{
		SELECT string_agg(md5(c.data), ',' ORDER BY c.kind, c.name, c.part)
		FROM moemlora.model m
		JOIN moemlora.version v ON v.model_id = m.id AND v.number = m.current_version
		JOIN moemlora.component c ON c.version_id = v.id
		WHERE m.name = '$model'
	}, %options);
}

# The functions of the extension that a query can call, without moemlora_: predict(text,text,record) and so on.
# With parts => 1 those that only the server can call.
sub functions
{
	my ($node, %options) = @_;
	my $only_server = q{p.prorettype = 'trigger'::regtype OR 'internal'::regtype = ANY (p.proargtypes)};
	my $not = $options{parts} ? '' : 'NOT';

	return map { s/^moemlora_//r } split /\n/, sql(
		$node, qq{
		SELECT p.oid::regprocedure
		FROM pg_proc p
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'moemlora'
		WHERE $not ($only_server)
		ORDER BY p.oid::regprocedure::text COLLATE "C"
	}, %options);
}

# The statements in the blocks of a section of the README, each without its semicolon.
sub readme
{
	my ($title) = @_;
	my ($section) = slurp_file("$ENV{TESTDIR}/README.md") =~ /^#+ \Q$title\E\n(.*?)(?=^#{1,3} |\z)/ms;

	die "no section $title in the README" unless defined $section;
	return map { split /;\n/ } $section =~ /^```(?:sql)?\n(\w.*?)^```$/msg;
}

1;
