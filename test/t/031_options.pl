# What each option of a training does, seen from outside: in the stored numbers
# (Moemlora::Stored), in the catalog and in the scores.
#
# Ranges, types and combinations of options: test/sql/options.sql; columns:
# 030_values.pl; serve: 002_served_mode.pl; backbones: test/sql/backbones.sql.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use List::Util qw(max sum);
use Moemlora;
use Moemlora::Session;
use Moemlora::Stored;
use Test::More;
use Time::HiRes 'time';

use constant ERROR => 2e-6;    # of a score in float32

my $node = new_server('options');
my $session = Moemlora::Session->new($node);

# 600 rows, 240 in each of domains a and b, 120 in c.
sql(
	$node, q{
	CREATE TABLE rows AS
	SELECT i, (i * 7919 % 1000) * 0.001 < 0.2 + 0.1 * (i % 5) + CASE WHEN i % 10 < 4 THEN 0.3 ELSE 0 END AS y,
		   CASE WHEN i % 10 < 4 THEN 'a' WHEN i % 10 < 8 THEN 'b' ELSE 'c' END AS d,
		   (ARRAY['red', 'green', 'blue', '7', NULL])[1 + i % 5] AS c, (i % 13)::real AS x
	FROM generate_series(1, 600) AS i;
});

# Trains m, and returns what is stored.
sub train
{
	my ($options, $source) = @_;

	$source //= '(SELECT y, d, c, x FROM rows)';
	$session->ask(qq{
		SELECT count(*) FROM moemlora_train('m', \$s\$$source\$s\$, 'y', 'd', NULL,
			'{"epochs": 3, "hidden": [6, 4], "embedding_dim": 3, "learning_rate": 0.02, "dropout": 0, "validation": 0,
			  "method": "backbone", "min_domain_rows": 10}'::jsonb || '$options')});
	die $session->errors if $session->errors ne '';
	return Moemlora::Stored->new($node, 'm');
}

# Which rows of the catalog are of the version trained last; and a figure of that.
my $last = 'version_id = (SELECT max(id) FROM moemlora.version)';

sub newest
{
	my ($what) = @_;

	return $session->ask("SELECT $what FROM moemlora.version ORDER BY id DESC LIMIT 1");
}

sub phases
{
	return $session->ask("SELECT string_agg(name, ' ' ORDER BY position) FROM moemlora.phase WHERE $last");
}

sub scores
{
	my ($query) = @_;

	return split /\n/, $session->ask("SET extra_float_digits = 1; $query");
}

# Largest difference of two lists.
sub difference
{
	my ($as, $bs) = @_;

	return 9 if @$as != @$bs || grep { !defined } @$as, @$bs;
	return max map { abs($as->[$_] - $bs->[$_]) } 0 .. $#$as;
}

sub sum_of_squares
{
	my ($tensor) = @_;

	return sum map { $_ * $_ } map { @$_ } @$tensor;
}

sub is_close
{
	my ($got, $expected, $tolerance, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok(abs($got - $expected), '<=', $tolerance, "$name: $got is about $expected");
}

# Sizes: embedding_dim, hidden, lora_reduce, lora_rank, experts_per_domain, min_domain_rows.
my $stored = train('{"embedding_dim": 5, "hidden": [7, 3, 2]}');

my @sized = qw(embedding.c embedding.domain tower.0.weight tower.1.weight tower.2.weight);

is(join(' ', map { scalar @{ $stored->tensor($_)->[0] } } @sized), '5 5 7 3 2', 'embedding_dim and hidden are the sizes');
is(scalar @{ $stored->tensor('tower.0.weight') }, 15, 'the tower takes all embeddings');

sub ranks
{
	my ($options) = @_;
	my $model = train($options);

	return join ' ', map { @{ $model->tensor("expert.tower.$_.up") } / $model->{n_experts} } 0, 1;
}

my $mlora = '{"method": "mlora", "hidden": [40, 6], "epochs": 1';

is(ranks("$mlora}"), '2 1', 'the rank is a sixteenth of the width, at least 1');
is(ranks("$mlora, \"lora_reduce\": 4}"), '10 1', 'lora_reduce');
is(ranks("$mlora, \"lora_rank\": 9}"), '9 6', 'lora_rank, at most the width');

$stored = train('{"method": "moe_mlora", "recipe": "paper", "experts_per_domain": 3}');
is(newest('n_experts'), '9', 'experts_per_domain');
is(scalar @{ $stored->tensor('gate.domain') } . 'x' . @{ $stored->tensor('gate.domain')->[0] }, '3x9', 'its gate');
my @ups = @{ $stored->tensor('expert.tower.0.up') };
cmp_ok(difference($ups[0], $ups[1]), '>', 1e-3, 'experts of one domain differ');

my %experts_of = (
	120 => '0 1 2',
	121 => '0 1 -',
	240 => '0 1 -',
	241 => '- - -');

foreach my $rows (sort keys %experts_of)
{
	train("$mlora, \"min_domain_rows\": $rows}");
	is( $session->ask(qq{
			SELECT string_agg(coalesce(first_expert::text, '-'), ' ' ORDER BY name) FROM moemlora.domain WHERE $last}),
		$experts_of{$rows}, "min_domain_rows $rows: the experts of domains of 240, 240 and 120 rows");
}

# Gates, experts and unknown domains: scores are those of plain loops over what is stored.
my @probes = ('{"c": "new", "x": 3}', '{"c": null, "x": 12}', '{"c": null}', '{"c": "new", "x": -2}');
my @values = ({ c => 0, x => 3 }, { c => 1, x => 12 }, {}, { c => 0, x => -2 });

# One test: scores in some domains; a domain 'mean' stands for an unknown one.
sub domains_score_as
{
	my ($what, @domains) = @_;
	my (@got, @expected);

	foreach my $domain (@domains)
	{
		my $name = $domain eq 'mean' ? 'unknown' : $domain;

		push @got, scores(qq{
			SELECT moemlora_predict('m', '$name', j)
			FROM unnest(ARRAY['@{[join "', '", @probes]}']) WITH ORDINALITY AS u(j, n) ORDER BY n});
		push @expected, map { $stored->score($domain, $_) } @values;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return cmp_ok(difference(\@got, \@expected), '<', ERROR, $what);
}

my $experts = '"epochs": 12, "lora_rank": 2, "experts_per_domain": 2, "learning_rate": 0.05';

foreach my $kind (
	'"method": "backbone"', '"method": "mlora"',
	'"method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6',
	'"method": "moe_mlora", "recipe": "gated", "gate": "input"')
{
	my $serve = $kind =~ /backbone/ ? 'backbone' : $kind =~ /"mlora"/ ? 'own' : 'gate';

	$stored = train("{$kind, $experts, \"serve\": \"$serve\"}");
	is($stored->{mode}, $serve, "$kind: serve");
	is(join(' ', sort grep { /^gate/ } keys %{ $stored->{tensors} }),
		$serve ne 'gate' ? '' : $kind =~ /input/ ? 'gate.input.bias gate.input.weight' : 'gate.domain', "$kind: gate");
	domains_score_as("$kind: known domains, and an unknown one without experts", 'a', 'b', 'c', 'unknown');
	$stored = train("{$kind, $experts, \"serve\": \"$serve\", \"unknown_domain\": \"mean\"}");
	domains_score_as("$kind: an unknown one as the mean", 'a', 'mean');
	cmp_ok(
		difference([ map { $stored->score('mean', $_) } @values ], [ map { $stored->score('unknown', $_) } @values ]),
		'>', 1e-3, "$kind: which is another one");
	train("{$kind, $experts, \"serve\": \"$serve\", \"unknown_domain\": \"error\", \"epochs\": 1}");
	like($session->errors(q{SELECT moemlora_predict('m', 'unknown', '{}')}),
		qr/ERROR:  22023: domain "unknown" is unknown to the model/, "$kind: an unknown one as an error");
	like($session->ask(q{SELECT moemlora_predict('m', 'a', '{}')}), qr/^0\.\d+$/, "$kind: a known one is scored");
}
$stored = train("{\"method\": \"mlora\", $experts, \"serve\": \"own\", \"min_domain_rows\": 200}");
domains_score_as('a domain without experts has the backbone', 'a', 'c');

# gate_own_share: how the gate begins.
sub own_share
{
	my ($options) = @_;
	my $model = train(qq({"method": "moe_mlora", "experts_per_domain": 2, "epochs": 1, "learning_rate": 1e-8, $options}));
	my @e = map { exp } @{ $model->tensor('gate.domain')->[0] };

	return ($e[0] + $e[1]) / sum(@e);
}

is_close(own_share('"recipe": "paper"'), 0.95, 1e-4, 'own share of recipe paper');
is_close(own_share('"recipe": "gated"'), 0.5, 1e-4, 'own share of recipe gated');
is_close(own_share(qq("recipe": "$_", "gate_own_share": 0.7)), 0.7, 1e-4, "gate_own_share, recipe $_")
  foreach 'paper', 'gated';

# Phases.
my %phases = (
	'"method": "backbone"' => 'backbone',
	'"method": "mlora"' => 'joint',
	'"method": "moe_mlora", "recipe": "paper"' => 'backbone experts gate',
	'"method": "moe_mlora", "recipe": "joint"' => 'joint experts gate',
	'"method": "moe_mlora", "recipe": "gated"' => 'gated experts gate',
	'"method": "moe_mlora", "recipe": "paper", "finetune": true' => 'backbone experts gate finetune');

foreach my $options (sort keys %phases)
{
	train("{$options, \"epochs\": 1}");
	is(phases(), $phases{$options}, "phases of $options");
}
train('{"method": "moe_mlora", "recipe": "auto", "epochs": 1, "validation": 0.2, "finetune": true}');
like(phases(), qr/^backbone joint gated experts gate finetune$/, 'recipe auto makes all starts');

# Where all labels are 1, Adam moves the bias by the learning rate in each step: so the bias counts steps.
sub bias_after
{
	my ($options) = @_;
	my $model = train($options, '(SELECT true AS y, d, c, x FROM rows)');

	return $model->tensor('bias')->[0][0];
}

my $moe = '"method": "moe_mlora", "recipe": "paper"';

is_close(bias_after('{"epochs": 4, "learning_rate": 0.001}'), 0.004, 1e-5, 'epochs: one step each');
is_close(bias_after('{"epochs": 9, "learning_rate": 0.001}'), 0.009, 1e-5, 'more epochs');
is_close(bias_after('{"epochs": 4, "learning_rate": 0.01}'), 0.04, 2e-3, 'learning_rate');
is_close(bias_after('{"epochs": 4, "learning_rate": 0.001, "batch_size": 250}'), 0.012, 1e-4,
	'batch_size: three steps, the last with what is left');
is_close(bias_after('{"epochs": 2, "learning_rate": 0.00001, "batch_size": 1}'), 0.012, 1e-4, 'batch_size 1: a step a row');
is_close(bias_after("{\"epochs\": 5, \"learning_rate\": 0.001, $moe}"), 0.005, 1e-5, 'neither experts nor gate move the base');
is_close(bias_after("{\"epochs\": 5, \"learning_rate\": 0.001, $moe, \"finetune\": true}"), 0.005 + 0.001, 2e-5,
	'finetune does, at a fifth of the learning rate');

# l2 holds down the tables, and nothing else.
my $free = train('{"epochs": 30, "l2": 0}');
my $held = train('{"epochs": 30, "l2": 0.5}');

cmp_ok(sum_of_squares($held->tensor($_)), '<', sum_of_squares($free->tensor($_)) / 20, "l2 holds down $_")
  foreach qw(embedding.c linear.c embedding.x linear.x embedding.domain linear.domain);
cmp_ok(sum_of_squares($held->tensor($_)), '>', sum_of_squares($free->tensor($_)) / 4, "but not $_")
  foreach qw(tower.0.weight tower.1.weight head.weight);

# dropout changes what is learned, never how it is scored.
my @weights = map { train($_)->tensor('tower.0.weight')->[0] } '{"epochs": 9, "dropout": 0.5}', '{"epochs": 9}';

cmp_ok(difference(@weights), '>', 1e-3, 'dropout changes what is learned');
$stored = train('{"epochs": 9, "dropout": 0.9}');
domains_score_as('nothing is dropped when it is scored', 'a', 'c');

# seed: the same one, the same numbers; another one, others, from the start.
my @seeds = map { "@{ train(qq({\"seed\": $_, \"learning_rate\": 1e-8, \"epochs\": 1}))->tensor('tower.0.weight')->[0] }" }
  42, 42, -3, 9007199254740991;

is($seeds[0], $seeds[1], 'the same seed');
isnt($seeds[0], $seeds[$_], 'another seed') foreach 2, 3;
isnt($seeds[2], $seeds[3], 'and another one');

# patience: where nothing gets better, it alone says when a phase ends.
sub epochs_of_patience
{
	my ($patience) = @_;

	train("{\"epochs\": 100, \"patience\": $patience, \"validation\": 0.2}", q{(SELECT y, 'd' AS d, 1 AS c FROM rows)});
	return $session->ask("SELECT epochs FROM moemlora.phase WHERE $last");
}
my $impatient = epochs_of_patience(2);

cmp_ok($impatient, '<', 20, 'an impatient training ends soon');
is(epochs_of_patience(8), $impatient + 6, 'patience: so many epochs more');
is(epochs_of_patience(100), 100, 'epochs is the limit');

# max_seconds: what there is by then is stored.
my $begin = time;

train('{"epochs": 100000, "patience": 100000, "max_seconds": 1, "method": "moe_mlora", "validation": 0.2}');
my $seconds = time - $begin;

cmp_ok($seconds, '>', 0.9, 'max_seconds is used');
cmp_ok($seconds, '<', 30, 'and ends the training');
is($session->ask("SELECT bool_or(note LIKE '%stopped by max_seconds%') FROM moemlora.phase WHERE $last"), 't', 'the note says so');
like($session->ask(q{SELECT moemlora_predict('m', 'a', '{"x": 1}')}), qr/^0\.\d+$/, 'the model scores');

# Which rows validate: by share, by a column, by time.
sub n_valid
{
	my ($options, $source) = @_;

	train($options, $source);
	return newest('valid_rows');
}

is(n_valid('{"validation": 0, "epochs": 1}'), 0, 'validation 0');
is_close(n_valid('{"validation": 0.3, "epochs": 1}'), 180, 45, 'validation by share');
is_close(n_valid('{"validation": 0.9, "epochs": 1}'), 540, 30, 'a large one');
train('{"split_column": "s", "epochs": 1}',
	q{(SELECT y, d, c, x, CASE WHEN i % 3 = 0 THEN 'test' WHEN d = 'c' OR i % 5 = 0 THEN 'valid' ELSE 'train' END AS s
		FROM rows)});
is( $session->ask(qq{
		SELECT string_agg(concat_ws(' ', name, rows, valid_rows, positives), ', ' ORDER BY name)
		FROM moemlora.domain WHERE $last}),
	$session->ask(q{
		SELECT string_agg(concat_ws(' ', d, n, v, p), ', ' ORDER BY d)
		FROM (SELECT d, count(*) AS n, count(*) FILTER (WHERE i % 5 = 0) AS v, count(*) FILTER (WHERE y) AS p
			FROM rows WHERE i % 3 > 0 AND d <> 'c' GROUP BY d) AS d}),
	'split_column: rows and domains go where it says');
is(newest('train_rows + valid_rows'), $session->ask('SELECT count(*) FROM rows WHERE i % 3 > 0'), 'test rows are left out');

# Days 1 to 60, ten rows each, in no order; the newest rows are in domain c alone.
my $day = '(1 + i * 7 % 60)';
my %moment = (
	date => "date '2024-01-01' + $day",
	timestamp => "timestamp '1999-12-31 23:00' + $day * interval '9 h'",
	timestamptz => "timestamptz '2024-03-30 12:00+0' + $day * interval '1 h'",
	integer => "-100 + $day",
	real => "($day / 7.0)::real",
	numeric => "$day * 1.5");
my $by_time = '{"time_column": "t", "epochs": 1, "validation": %s}';

foreach my $type (sort keys %moment)
{
	my $source = "(SELECT y, CASE WHEN $day > 48 THEN 'c' ELSE 'a' END AS d, c, $moment{$type} AS t FROM rows ORDER BY md5(i::text))";

	is(n_valid(sprintf($by_time, 0.2), $source), 120, "time_column of type $type: the newest fifth validates");
	is(newest('n_domains'), 1, "of type $type: so domain c does not train");
}
my $days = "(SELECT y, d, c, $day AS t FROM rows)";

is(n_valid(sprintf($by_time, 0.25), $days), 150, 'a share that ends with a day');
is(n_valid(sprintf($by_time, 0.26), $days), 150, 'rows as old as the newest training row train');
is(n_valid(sprintf($by_time, 0.5), q{(SELECT y, d, c, date '2024-01-01' AS t FROM rows)}), 0, 'rows of one time all train');
is( n_valid(
		sprintf($by_time, 0.5),
		q{(SELECT y, d, c, CASE WHEN i > 300 THEN 'infinity' ELSE '-infinity' END::timestamptz AS t FROM rows)}),
	300, 'infinite times are the newest and the oldest');

# weight_column: a weight of 2 is the row twice, a weight of 0 a row that is not there.
sub trained_scores
{
	my ($options, $source) = @_;

	train("{\"epochs\": 20, \"l2\": 0, \"columns\": {\"x\": {\"standardize\": false}}$options}", $source);
	return [ scores(q{SELECT moemlora_predict('m', d, r) FROM (SELECT * FROM rows WHERE i <= 50) AS r ORDER BY i}) ];
}

sub weighed
{
	my ($weight) = @_;

	return trained_scores(', "weight_column": "w"', "(SELECT y, d, c, x, $weight AS w FROM rows)");
}
my $row = 'SELECT y, d, c, x FROM rows';
my $all = trained_scores('', "($row)");
my $twice = trained_scores('', "($row UNION ALL $row WHERE i % 3 = 0)");
my $third = trained_scores('', "($row WHERE i % 3 = 0)");

cmp_ok(difference($all, $twice), '>', 1e-2, 'rows that count twice make another model');
cmp_ok(difference($twice, weighed("(1 + (i % 3 = 0)::int)::$_")), '<', 1e-4, "weight 2 is the row twice, type $_")
  foreach 'smallint', 'bigint', 'numeric', 'real', 'float8';
cmp_ok(difference($third, weighed('(i % 3 = 0)::int')), '<', 1e-4, 'weight 0 is no row');
cmp_ok(difference($all, weighed('1000.5')), '<', 1e-4, 'weights count by their shares');
train('{"epochs": 2, "split_column": "s", "weight_column": "w"}',
	q{(SELECT y, d, c, x, CASE WHEN i % 4 = 0 THEN 'valid' ELSE 'train' END AS s, CASE WHEN y THEN 0.25 ELSE 3 END AS w
		FROM rows)});
is( $session->ask(q{
		SELECT abs(v.valid_auc - moemlora_auc(moemlora_predict('m', d, r), y)) < 1e-4
			AND abs(v.valid_logloss - moemlora_logloss(moemlora_predict('m', d, r), y)) < 1e-4
		FROM rows r, (SELECT valid_auc, valid_logloss FROM moemlora.version ORDER BY id DESC LIMIT 1) AS v
		WHERE i % 4 = 0 GROUP BY v.valid_auc, v.valid_logloss}),
	't', 'figures are not weighed');

# min_count: what is rarer is unknown; how often is counted in the training rows.  Value v1 occurs once, v4 four times.
$session->ask(q{CREATE TABLE counted AS
	SELECT y, d, i, CASE WHEN i <= 10 THEN 'v' || ceil(sqrt(2 * i + 0.25) - 0.5) ELSE 'often' END AS c FROM rows});

sub n_categories
{
	my ($min_count, $more, $columns) = @_;

	train("{\"min_count\": $min_count, \"epochs\": 1$more}", "(SELECT y, d, c$columns FROM counted)");
	return $session->ask("SELECT size - 2 FROM moemlora.feature WHERE $last");
}
is(n_categories($_->[0], '', ''), $_->[1], "min_count $_->[0]") foreach [ 1, 5 ], [ 2, 4 ], [ 4, 2 ], [ 5, 1 ], [ 600, 0 ];
is(n_categories(2, ', "split_column": "s"', q{, CASE WHEN i IN (2, 5) THEN 'valid' ELSE 'train' END AS s}),
	3, 'min_count counts training rows only');

$session->close;
finish($node);
