# What people look at in psql fits into 120 columns: the results of functions and
# the views.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use lib "$FindBin::RealBin/lib";
use Moemlora;
use Moemlora::Session;
use Test::More;

my $columns = 120;
my $node = new_server('width');

plant_clicks($node);
sql(
	$node, q{
	CREATE TABLE shown AS
	SELECT user_id, item_id, price, CASE place WHEN 'noise' THEN 'bots' WHEN 'place 1' THEN 'search' ELSE 'mail' END AS place, clicked,
		   CASE id % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'valid' ELSE 'train' END AS split
	FROM clicks(6000, 3, 0.5, 5), generate_series(1, 20);
	SELECT count(*) FROM moemlora_train('demo', 'shown', 'clicked', 'place', NULL,
		'{"epochs": 3, "hidden": [8], "embedding_dim": 4, "learning_rate": 0.02, "split_column": "split", "recipe": "paper"}') AS trained,
		generate_series(1, 2);
	SELECT moemlora_grant('demo', 'pg_monitor');
	CALL moemlora_retrain('demo', '{"promote": "never", "min_domain_rows": 30000, "warm_start": true}');
	CALL moemlora_retrain('demo');
});

# And a run that was left.
my $session = Moemlora::Session->new($node);

$session->send(q{CALL moemlora_retrain('demo', '{"epochs": 100000, "patience": 100000, "warm_start": false}')});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM moemlora.runs WHERE fraction > 0'), 'a run is under way');
sql($node, "SELECT pg_terminate_backend(${\ $session->pid})");
ok($node->poll_query_until('postgres', q{SELECT state = 'abandoned' FROM moemlora.runs}), 'it is abandoned');

# The longest line that psql prints for a query, and how many it has.
sub width
{
	my ($query) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[ 'psql', '-Xq', '-P', 'pager=off', '-P', 'footer=off', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $query ],
		'>', \$out, '2>', \$err)
	  or die "$err\n$query";
	my @lines = split /\n/, $out;
	my ($longest) = sort { $b <=> $a } map { length } @lines;

	return ($longest, scalar @lines, $out);
}

sub fits
{
	my ($query, $name) = @_;
	my ($longest, $n, $out) = width($query);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($n, '>', 2, "$name: there are rows");
	cmp_ok($longest, '<=', $columns, "$name: no line is longer than $columns columns") or diag($out);
	return;
}

my $test = q{'(SELECT * FROM shown WHERE split = ''test'')'};

fits("SELECT * FROM moemlora_evaluate('demo', $test, 'clicked', 'place')", 'evaluate');
fits("SELECT * FROM moemlora_compare(ARRAY['demo\@1', 'demo'], $test, 'clicked', 'place')", 'compare');
fits("SELECT * FROM moemlora_importance('demo', $test, 'clicked', 'place')", 'importance');
fits("SELECT * FROM moemlora_drift('demo', $test, 'place')", 'drift');
fits("SELECT * FROM moemlora_gates('demo')", 'gates');
fits("SELECT e.* FROM (SELECT * FROM shown LIMIT 1) AS s, moemlora_explain('demo', place, s) AS e", 'explain');
fits("SELECT place, moemlora_auc(p, clicked), moemlora_logloss(p, clicked)
	FROM (SELECT place, clicked, moemlora_predict('demo', place, s) AS p FROM shown AS s) AS s GROUP BY place", 'auc and logloss');
fits("SELECT * FROM moemlora.$_", "view $_") foreach qw(versions cards decisions grants domains phases epochs runs);
fits("SELECT * FROM moemlora_tune('shown', 'clicked', 'place', NULL, '{\"experts_per_domain\": [1, 2], \"lora_reduce\": [8, 16],
	\"split_column\": \"split\", \"epochs\": 9, \"hidden\": [16]}', 1)", 'tune');
fits(q{/* moemlora: model="demo" phase=backbone step=1204 steps=17600 fraction=0.0684 rows_per_second=412345 started=1763800000.123 */ }
	  . 'SELECT * FROM moemlora.progress', 'view progress');

# Their columns are part of the interface, and their names alone are wider: what the README shows of them.
fits($_, $_)
  foreach q{SELECT name, owner, backbone, method, features, domains, rows, valid_auc, valid_wauc FROM moemlora.models},
  q{SELECT name, current_version, previous_version FROM moemlora.models},
  q{SELECT phase, epochs, rows, rows_per_second, train_logloss, valid_logloss, valid_auc, note
	FROM moemlora_train('demo', 'shown', 'clicked', 'place', NULL, '{"epochs": 1, "hidden": [8], "split_column": "split", "finetune": true}')};

finish($node);
