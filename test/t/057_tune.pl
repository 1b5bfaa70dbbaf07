# moemlora_tune(): what it says while it runs, the time that it takes, what a
# cancel leaves, and whose rights the source is read with.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;
use Time::HiRes qw(time);

my $node = new_server('tune');

plant_clicks($node);
sql($node, 'CREATE TABLE drawn AS SELECT * FROM clicks(30000, 6, 0.5, 1); REVOKE ALL ON drawn FROM PUBLIC');

sub tune
{
	my ($what, $grid, $budget) = @_;

	$budget //= 'NULL';
	return "SELECT $what FROM moemlora_tune('drawn', 'clicked', 'place', ARRAY['user_id', 'item_id', 'price'],
		'{\"hidden\": [32, 16], \"epochs\": 27}'::jsonb || '$grid', $budget)";
}

# A line for every trial of every rung; what learns nothing is out after the first one.
my $said = sql($node, tune('*', '{"learning_rate": [0.003, 1e-8, 0.01, 2e-8], "method": "mlora"}'), notices => 1);
my @lines = $said =~ /NOTICE:  00000: (rung \d of \d, trial \d of \d: WAUC 0\.\d{4}, AUC 0\.\d{4}, served mode \w+, \d+\.\d s, \{"learning_rate": \S+\})/g;

is(join(' ', map { /rung (\d of \d), trial (\d of \d)/ } @lines),
	'1 of 3 1 of 4 1 of 3 2 of 4 1 of 3 3 of 4 1 of 3 4 of 4 2 of 3 1 of 2 2 of 3 2 of 2 3 of 3 1 of 1', 'a line for each trial');
unlike($said, qr/epoch \d/, 'none for an epoch');
is( sql($node, tune(q{string_agg(rung || ': ' || (options ->> 'learning_rate'), ', ' ORDER BY (options ->> 'learning_rate')::float8)},
			'{"learning_rate": [0.003, 1e-8, 0.01, 2e-8], "method": "mlora"}')) =~ s/: 0\.00000\d+/: tiny/gr =~ s/3: (0\.003|0\.01)/3: best/r =~ s/2: (0\.003|0\.01)/2: next/r
	  =~ s/(3: best, 2: next|2: next, 3: best)/both/r,
	'1: tiny, 1: tiny, both', 'those that learn get further');
like(sql($node, tune('count(*)', '{"dropout": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], "l2": [0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.2, 0.3, 0.4],
			"epochs": 1, "method": "backbone", "hidden": [4]}'), notices => 1),
	qr/NOTICE:  00000: trying 81 of 90 combinations, drawn with seed 42/, 'a draw is said');
like(sql($node, tune('count(*)', '{"method": ["mlora", "moe_mlora"], "finetune": [true, false], "epochs": 1}'), notices => 1),
	qr/NOTICE:  00000: 1 of 4 combinations were left out: their options do not go together\nDETAIL:  option "finetune" needs method "moe_mlora"\./,
	'so is what does not go together');

# The budget holds; what there was no time for is said.
my $slow = '{"epochs": 1000, "patience": 1000, "dropout": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]}';
my $started = time;
my $notes = sql($node, tune(q{count(*) || ' ' || max(rung) || ' ' || count(*) FILTER (WHERE note = 'cut short') || ' ' || (sum(seconds) < 2.2)}, $slow, 2));
my $seconds = time - $started;

note("$seconds s for a budget of 2 s: $notes");
like($notes, qr/^9 3 [5-9] true$/, 'all rungs have their part');
cmp_ok($seconds, '<', 4, 'and the time is kept');
is( sql($node, tune(q{DISTINCT rung || ': ' || note}, $slow, 1e-6)), '0: not tried',
	'reading alone may take it');

# It is seen while it runs, ends at once when it is cancelled, and leaves nothing.
my @sessions = map { Moemlora::Session->new($node) } 1, 2;
my $stored = catalog($node);

$started = time;
like($sessions[0]->errors(q{SET statement_timeout = '700ms'; } . tune('*', $slow)), qr/ERROR:  57014/, 'cancelled');
cmp_ok(time - $started, '<', 3, 'at once');
$sessions[0]->ask('RESET statement_timeout');
is( $sessions[0]->ask(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name ~ '^moemlora (?!model)'}),
	'0', 'no memory is kept');
is(catalog($node), $stored, 'nothing is stored');
$sessions[0]->ask(q{CREATE TABLE seen AS SELECT model, phase, fraction FROM moemlora.progress WITH NO DATA});
$sessions[0]->ask(q{CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_stat_clear_snapshot();
		INSERT INTO seen SELECT model, phase, fraction FROM moemlora.progress;
		RETURN true;
	END $$});
$sessions[0]->ask(q{SELECT count(*) FROM moemlora_tune('(SELECT user_id, clicked, place FROM drawn WHERE id > 29000 AND (id < 30000 OR look()))',
	'clicked', 'place', NULL, '{"epochs": 1, "hidden": [4], "method": "backbone"}')});
is($sessions[0]->ask('SELECT DISTINCT model, phase FROM seen'), 'moemlora_tune|reading', 'view progress shows it');
$_->close foreach @sessions;

# The source is read with the caller's rights; nothing else is needed.
sql($node, 'CREATE ROLE analyst LOGIN; CREATE ROLE stranger LOGIN; GRANT SELECT ON drawn TO analyst');
is(sql($node, tune('count(*)', '{"epochs": 1, "method": "backbone"}'), user => 'analyst'), '1', 'who may read it may tune');
refuses($node, tune('count(*)', '{"epochs": 1}'), '42501', qr/permission denied for table drawn/, 'who may not may not', user => 'stranger');

finish($node);
