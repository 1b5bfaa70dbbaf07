# Ten thousand domains, a thousand features, long and strange values: it works,
# or the error says what is too much and what to do.
#
# Names of models, columns and sources: test/sql.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;
use Time::HiRes 'time';

my $node = new_server('many_and_wide');
my $session = Moemlora::Session->new($node);

sub train
{
	my ($source, $options) = @_;

	return qq{SELECT count(*) > 0 FROM moemlora_train('m', \$s\$$source\$s\$, 'clicked', 'place', NULL,
		'{"epochs": 1, "hidden": [8], "embedding_dim": 4}'::jsonb || '$options')};
}

# A figure of the version trained last.
sub newest
{
	my ($what) = @_;

	return $session->ask("SELECT $what FROM moemlora.version ORDER BY id DESC LIMIT 1");
}

# Ten thousand domains of few rows: they share the backbone.
sql(
	$node, q{
	CREATE TABLE many AS
	SELECT i % 50 AS user_id, 'place ' || i % 10000 AS place, i * 7 % 11 < 4 AS clicked
	FROM generate_series(1, 60000) AS i;
});
my $begin = time;

is($session->ask(train('many', '{}')), 't', 'ten thousand domains');
my $seconds = time - $begin;
note(sprintf 'one epoch with ten thousand domains: %.1f s', $seconds);
cmp_ok($seconds, '<', 30, 'take no time');
is(newest('n_domains, n_experts'), '10000|0', 'and have no experts');
is($session->ask('SELECT count(*), sum(rows) FROM moemlora.domains'), '10000|60000', 'all of them are in the view');

# With experts for each, as long as there is no gate among them.
my $options = '{"method": "mlora", "min_domain_rows": 1, "lora_rank": 1, "serve": "own", "validation": 0,'
  . ' "learning_rate": 0.02}';

is($session->ask(train('many', $options)), 't', 'ten thousand experts');
is(newest('n_domains, n_experts'), '10000|10000', 'one for each domain');
is($session->ask(q{SELECT count(DISTINCT moemlora_predict('m', place, ROW(7))) > 5000 FROM many}), 't',
	'and each scores in its way');
is( $session->ask(q{
		SELECT count(*), min(rows) FILTER (WHERE scope = 'all')
		FROM moemlora_evaluate('m', 'many', 'clicked', 'place')}),
	'10003|60000', 'evaluate takes them all');

# The gate of all experts grows with their square: an error that says so.
my $amount = qr/\d+ [kMG]B/;
my $error = $session->errors(train('many', '{"min_domain_rows": 1}'));

like($error, qr/ERROR:  54000: /, 'a gate over ten thousand experts is too much');
like($error, qr/DETAIL:[^\n]*$amount[^\n]*$amount[^\n]*10000 experts and their gate take $amount/,
	'the error counts experts and gate');
like($error, qr/HINT:[^\n]*moemlora\.training_memory[^\n]*min_domain_rows/, 'and suggests what to do');

# Many values of one feature.
my $values = '(SELECT i AS user_id, i % 3 AS place, i % 5 < 2 AS clicked FROM generate_series(1, 300000) AS i)';

$session->ask(q{SET moemlora.training_memory = '100MB'});
like(
	$session->errors(train($values, '{"embedding_dim": 64}')),
	qr/ERROR:  54000: .*DETAIL:[^\n]*$amount.*HINT:[^\n]*embedding_dim[^\n]*min_count/s,
	'many values: the error and what to do');
is($session->ask(train($values, '{"embedding_dim": 64, "min_count": 2}')), 't', 'doing it helps');
$session->ask(q{SET moemlora.training_memory = '20MB'});
like(
	$session->errors(train($values, '{}')),
	qr/ERROR:  54000: .*DETAIL:[^\n]*feature "user_id" has \d+ values.*HINT:[^\n]*"hash" to feature "user_id"/s,
	'too many even to encode: the error names the feature');
is($session->ask(train($values, '{"columns": {"user_id": {"hash": 100}}}')), 't', 'hash buckets need less');

# What README says of the memory needed, d being 16.
my $n = 100_000;
my $kinds = qq{(SELECT i AS item_id, i::real AS price, ARRAY[i % 5, i % 7, i] AS tags, ARRAY[i, 1, 2]::real[] AS picture,
	i % 3 AS place, i % 5 < 2 AS clicked FROM generate_series(1, $n) AS i)};
my $of_rows = $n * (52 + 5 + 9 + 10 + 3 * 5 + 3 * 5);

foreach my $method ('backbone', 'moe_mlora')
{
	my $of_weights = 2 * $n * (($method eq 'backbone' ? 24 : 28) * (16 + 1) + 20);
	my $options = qq({"embedding_dim": 16, "method": "$method", "recipe": "gated", "validation": 0});

	$session->ask(sprintf q{SET moemlora.training_memory = '%d kB'}, ($of_rows + $of_weights) / 1024);
	is($session->ask('SET client_min_messages = debug1; ' . train($kinds, $options) . '; RESET client_min_messages'),
		't', "$method: the memory that README says");
	my ($took, $allowed) = $session->errors =~ /training took (\d+) kB of memory, moemlora.training_memory allows (\d+) kB/;
	cmp_ok($took, '<=', $allowed, "$method: what it took is no more");
	cmp_ok($took, '>', 0.85 * $allowed, "$method: nor much less");
	$session->ask(sprintf q{SET moemlora.training_memory = '%d kB'}, 0.85 * ($of_rows + $of_weights) / 1024);
	like($session->errors(train($kinds, $options)), qr/ERROR:  54000: training needs more memory/, "$method: not much less");
}
$session->ask('RESET moemlora.training_memory');

# A thousand features; row and jsonb are read alike.
my $columns = join ', ', map { qq{(i * $_ % 7)::int AS "feature $_"} } 1 .. 1000;

is( $session->errors(qq{
		CREATE TABLE wide AS SELECT i % 2 AS place, i % 3 = 0 AS clicked, $columns FROM generate_series(1, 300) AS i}),
	'', 'a table of a thousand features');
is($session->ask(train('wide', '{"embedding_dim": 1, "method": "backbone"}')), 't', 'can be trained on');
is(newest('n_features'), '1000', 'with all of them');
is( $session->ask(q{
		SELECT bool_and(abs(moemlora_predict('m', place::text, w) - moemlora_predict('m', place::text, to_jsonb(w))) < 1e-6)
		FROM wide w}),
	't', 'and scored with');

like($session->errors(train('wide', '{"backbone": "fibinet", "embedding_dim": 64}')),
	qr/ERROR:  54000: backbone "fibinet" cannot take so many features.*DETAIL:  With 1000 features.*HINT:[^\n]*"wdl"/s,
	'all pairs of a thousand features are too many for a backbone that wants them');

# As many as a query can give, more than a table has: 1664 columns with label and domain.
my @left = map { qq("l$_") } 1 .. 1000;
my @right = map { qq("r$_") } 1 .. 662;

sub both
{
	my (@more) = @_;
	my $columns = join ', ', @left, @right, @more;

	return "(SELECT $columns, place, clicked FROM left_part JOIN right_part USING (id))";
}

sql(
	$node,
	'CREATE TABLE left_part AS SELECT i AS id, i % 2 AS place, i % 3 = 0 AS clicked, '
	  . join(', ', map { "(i * $_ % 7)::int AS $left[$_ - 1]" } 1 .. @left) . ' FROM generate_series(1, 60) AS i;'
	  . 'CREATE TABLE right_part AS SELECT i AS id, '
	  . join(', ', map { "(i * $_ % 11)::real AS $right[$_ - 1]" } 1 .. @right) . ' FROM generate_series(1, 60) AS i;');
is($session->ask(train(both(), '{"embedding_dim": 1, "method": "backbone"}')), 't', 'features of two tables');
is(newest('n_features'), '1662', 'with all of them');
is( $session->ask(q{
		WITH by_row AS MATERIALIZED (SELECT id, moemlora_predict('m', p, b) AS score FROM }
		  . both('id') =~ s/place, clicked/place::text AS p/r . q{ AS b),
			by_jsonb AS MATERIALIZED (SELECT id, moemlora_predict('m', place::text, to_jsonb(l) || to_jsonb(r)) AS score
				FROM left_part AS l JOIN right_part AS r USING (id))
		SELECT count(*) || ' ' || bool_and(abs(r.score - j.score) < 1e-6) FROM by_row AS r JOIN by_jsonb AS j USING (id)}),
	'60 true', 'jsonb scores a row that no table could hold');
like($session->errors(train(both('1 AS one'), '{}')), qr/ERROR:  54011: target lists can have at most 1664 entries/,
	'one more is too many for PostgreSQL');

# Long and strange values.
my @strange = (
	q{''}, q{' '}, q{repeat('x', 100000)}, q{E'\n\t\\\\'}, q{'é'}, q{E'e\u0301'}, q{'点击'}, q{'NULL'}, q{'it''s "a"'},
	q{'%s'});
my $list = join ', ', @strange;

is( $session->ask(
		train(
			qq{(SELECT item, 'here' AS place, i % 3 = 0 AS clicked
				FROM unnest(ARRAY[$list]) WITH ORDINALITY AS u(item, n), generate_series(1, 20 + n::int) AS i)},
			'{"epochs": 20, "learning_rate": 0.05, "method": "backbone"}')),
	't', 'strange values as features');
is($session->ask("SELECT count(DISTINCT moemlora_predict('m', 'here', ROW(v))) FROM unnest(ARRAY[$list]) AS v"),
	scalar(@strange), 'are told apart');
is( $session->ask(qq{
		SELECT bool_and(moemlora_predict('m', 'here', ROW(v)) = moemlora_predict('m', 'here', jsonb_build_object('item', v)))
		FROM unnest(ARRAY[$list]) AS v}),
	't', 'as a row and as jsonb');

my @places = grep { !/repeat/ } @strange;

$list = join ', ', @places;
is( $session->ask(
		train(
			qq{(SELECT i % 50 AS user_id, place, i % 3 = 0 AS clicked
				FROM unnest(ARRAY[$list]) AS place, generate_series(1, 200) AS i)},
			'{"method": "mlora", "serve": "own", "learning_rate": 0.05}')),
	't', 'strange names of domains');
is($session->ask("SELECT count(DISTINCT moemlora_predict('m', v, ROW(7))) FROM unnest(ARRAY[$list]) AS v"),
	scalar(@places), 'are told apart');
is( $session->ask(qq{
		SELECT count(*) FROM moemlora.domains d JOIN unnest(ARRAY[$list]) AS v ON d.domain = v
		WHERE version = (SELECT max(version) FROM moemlora.versions)}),
	scalar(@places), 'and in the view as they are');
like($session->errors(train(q{(SELECT 1 AS user_id, repeat('x', 2000) AS place, true AS clicked)}, '{}')),
	qr/ERROR:  22000: [^\n]*1023 bytes.*DETAIL:[^\n]*\b1\b/s, 'a domain of two thousand bytes is refused');

# Other encodings.
foreach my $encoding ('LATIN1', 'SQL_ASCII')
{
	my $db = lc $encoding;

	sql($node, "CREATE DATABASE $db TEMPLATE template0 ENCODING '$encoding'");
	my $elsewhere = Moemlora::Session->new($node, db => $db);

	$elsewhere->ask('CREATE EXTENSION moemlora');
	$elsewhere->ask('SET client_encoding = UTF8') unless $encoding eq 'SQL_ASCII';
	is( $elsewhere->ask(q{
			CREATE TABLE dites AS
			SELECT (ARRAY['é', 'è'])[1 + i % 2] AS "été", 'hôtel'::text AS place, i % 2 = 0 AS clicked
			FROM generate_series(1, 200) AS i;
			SELECT count(*) > 0 FROM moemlora_train('modèle', 'dites', 'clicked', 'place', NULL,
				'{"epochs": 30, "learning_rate": 0.1, "hidden": [4], "validation": 0}');
			SELECT moemlora_predict('modèle', 'hôtel', x) > 0.7, moemlora_predict('modèle', 'hôtel', to_jsonb(x)) > 0.7
			FROM (SELECT 'é'::text AS "été") AS x;
			SELECT domain, name FROM moemlora.domains, moemlora.models}),
		"t\nt|t\nhôtel|modèle", "a database in $encoding");
	is($elsewhere->errors, '', 'without errors');
	$elsewhere->close;
}

$session->close;
finish($node);
