# A session keeps no memory of trainings, and no more decoded models than
# moemlora.cache_size allows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $node = new_server('memory');
my $session = Moemlora::Session->new($node);

make_rows($node, 6000);
sql($node, 'UPDATE shown SET user_id = id % 5000');

sub train
{
	my ($model, $source, $options) = @_;

	return qq{SELECT count(*) FROM moemlora_train('$model', '$source', 'clicked', 'place', ARRAY['user_id'],
		'{"epochs": 1, "hidden": [8], "min_domain_rows": 10}'::jsonb || '$options')};
}

# Of contexts by name; and of everything that outlives a transaction.
sub bytes_of
{
	my ($pattern) = @_;

	return $session->ask("SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name ~ '$pattern'");
}

sub try_everything
{
	$session->ask(train('m', 'shown', '{}'));
	$session->ask(train('m', '(SELECT *, 1 / (id - 5000) FROM shown)', '{}'));
	$session->ask(q{SET statement_timeout = '50ms'; }
		  . train('m', 'shown', '{"epochs": 100000, "patience": 100000}')
		  . '; RESET statement_timeout');
	$session->ask(q{SELECT count(moemlora_predict('m', place, s)) FROM shown s});
	$session->ask(q{SELECT count(s) FROM (SELECT moemlora_score('m', place, s) OVER () AS s FROM shown s) AS x});
	$session->ask(q{SELECT moemlora_score('m', place, s) OVER (ORDER BY id) FROM (SELECT id, place, 10 / (id - 900) AS user_id FROM shown) AS s});
	$session->ask(q{SELECT count(*) FROM moemlora_evaluate('m', 'shown', 'clicked', 'place')});
	$session->ask(q{SELECT count(*) FROM moemlora_importance('m', 'shown', 'clicked', 'place', 500)});
	$session->ask(q{SELECT count(*) FROM moemlora_drift('m', '(SELECT *, 1 / (id - 900) FROM shown)', 'place')});
	$session->ask(q{SELECT moemlora_predict('m', 'place 1', '{"user_id": [1]}')});
	$session->ask(q{SELECT moemlora_auc(id, clicked), moemlora_logloss(0.5, clicked) FROM shown});
	$session->ask(q{DO $$ BEGIN PERFORM moemlora_train('m', 'not_there', 'clicked', 'place');
		EXCEPTION WHEN undefined_table THEN NULL; END $$});
	return;
}

try_everything() foreach 1 .. 3;
is(bytes_of('^moemlora (?!model)'), 0, 'after trainings, errors and timeouts nothing of them is left');
my $before = bytes_of('^(?!moemlora model)');
try_everything() foreach 1 .. 10;
my $grown = bytes_of('^(?!moemlora model)') - $before;
note("after ten more rounds the session holds $grown bytes more");
cmp_ok($grown, '<', 200_000, 'the session does not grow');

# A model of 5000 users x 17 numbers is 340 kB and more.
my @models = map { "model $_" } 1 .. 6;

$session->ask(train($_, 'shown', '{"embedding_dim": 16, "method": "backbone"}')) foreach @models;
$session->ask("SET moemlora.cache_size = '1MB'");
my $all = join ', ', map { "'$_'" } @models;
my $scores = qq{SELECT string_agg(moemlora_predict(model, place, s)::text, ' ' ORDER BY id, model)
	FROM (SELECT * FROM shown WHERE id <= 20) AS s, unnest(ARRAY[$all]) AS model};
my $first = $session->ask($scores);
my $kept = '^moemlora model( scorer)?$';
my $held = bytes_of($kept);

note("decoded models hold $held bytes");
cmp_ok($held, '>', 340_000, 'a model is kept');
cmp_ok($held, '<', 1_500_000, 'the cache keeps to its size');
is($session->ask($scores), $first, 'models that come and go score the same');
$session->ask("SET moemlora.cache_size = '64kB'");
is($session->ask($scores), $first, 'even where none fits');
$held = bytes_of($kept);
cmp_ok($held, '<', 1_000_000, 'then only the one in use stays');
$session->ask("SET moemlora.cache_size = '100MB'");
is($session->ask($scores), $first, 'and where all fit');
cmp_ok(bytes_of($kept), '>', 6 * 340_000, 'they stay');

# Scorers for blocks take memory of their own, and count as well.
my $in_blocks = qq{SELECT count(*), bool_and(abs(s - p) < 1e-6)
	FROM (SELECT moemlora_score(model, place, s) OVER (ORDER BY model) AS s, moemlora_predict(model, place, s) AS p
		FROM shown AS s, unnest(ARRAY[$all]) AS model WHERE id <= 1000) AS x};

is($session->ask($in_blocks), '6000|t', 'models score in blocks');
cmp_ok(bytes_of('^moemlora model scorer$'), '>', 6 * 100_000, 'and keep buffers');
$session->ask("SET moemlora.cache_size = '1MB'");
is($session->ask($in_blocks), '6000|t', 'also where they come and go');
$held = bytes_of($kept);
note("now they hold $held bytes");
cmp_ok($held, '<', 1_500_000, 'the cache keeps to its size');

$session->close;
finish($node);
